fn main() -> anyhow::Result<()> {
    procbench::engine::native::run_round()
}
