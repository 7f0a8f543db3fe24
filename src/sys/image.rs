//! Where this program itself lies in memory.

use std::ops::Range;

/// What the program headers say of the program, the first object that is listed.
#[derive(Default)]
struct Layout {
    /// What is loaded and never written: code and constants.
    constant: Vec<Range<usize>>,
    /// What is read-only after relocation.
    relocated: Option<Range<usize>>,
}

/// The pages, first and behind the last, that were made read-only after relocation.
pub(super) fn read_only_after_relocation() -> Option<(u64, u64)> {
    let whole = |address: usize| (address & !(procfs::page_size() as usize - 1)) as u64;
    layout().relocated.map(|range| (whole(range.start), whole(range.end)))
}

/// Has the pages of the program's code and constants mapped, those that relocation filled in among them, so that nobody meets one for the first time while a clock runs. That adds
/// nothing to what a fork costs: the kernel does not copy what it can look up in a file. Where it cannot be asked for (before Linux
/// 5.14), they are mapped as they are met.
pub fn fault_in() {
    let page = procfs::page_size() as usize;
    let Layout { constant, relocated } = layout();
    for range in constant.into_iter().chain(relocated) {
        let start = range.start & !(page - 1);
        // SAFETY: this reads pages of the program that are mapped, and changes none of them.
        unsafe {
            libc::madvise(start as *mut libc::c_void, range.end - start, libc::MADV_POPULATE_READ);
        }
    }
}

fn layout() -> Layout {
    unsafe extern "C" fn note(info: *mut libc::dl_phdr_info, _: usize, found: *mut libc::c_void) -> i32 {
        // SAFETY: the C library passes a valid description, and `found` is the value below.
        let (info, found) = unsafe { (&*info, &mut *found.cast::<Layout>()) };
        // SAFETY: as many headers as it says are there, for as long as the program is.
        let headers = unsafe { std::slice::from_raw_parts(info.dlpi_phdr, usize::from(info.dlpi_phnum)) };
        for header in headers {
            let start = info.dlpi_addr as usize + header.p_vaddr as usize;
            let range = start..start + header.p_memsz as usize;
            match header.p_type {
                libc::PT_LOAD if header.p_flags & libc::PF_W == 0 => found.constant.push(range),
                libc::PT_GNU_RELRO => found.relocated = Some(range),
                _ => {}
            }
        }
        1
    }
    let mut found = Layout::default();
    // SAFETY: `note` is called before this returns, with the pointer to the live value; it does not unwind, as it only fails where
    // memory does, which aborts.
    unsafe { libc::dl_iterate_phdr(Some(note), std::ptr::from_mut(&mut found).cast()) };
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_and_constants_are_found_and_can_be_met_beforehand() {
        static CONSTANT: [u8; 16] = *b"a constant's own";
        let constant = layout().constant;
        for address in [fault_in as *const () as usize, CONSTANT.as_ptr() as usize] {
            assert!(constant.iter().any(|range| range.contains(&address)), "{address:x} in {constant:x?}");
        }
        fault_in();
    }
}
