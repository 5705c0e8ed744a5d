//! How a call ends that cannot go on.

use core::fmt::{self, Write};

/// A text as AssemblyScript has them, which is what the host's `abort` takes: UTF-16
/// with its length in bytes in front.
#[repr(C)]
struct Reason {
    bytes: u32,
    units: [u16; 256],
}

impl Write for Reason {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        for unit in s.encode_utf16() {
            if let Some(to) = self.units.get_mut(self.bytes as usize / 2) {
                *to = unit;
                self.bytes += 2;
            }
        }
        Ok(())
    }
}

#[cfg(all(target_arch = "wasm32", not(feature = "std")))]
#[panic_handler]
fn on_panic(info: &core::panic::PanicInfo) -> ! {
    end(|reason| write!(reason, "{}", info))
}

/// Ends the call, with the class `trap`, and says why. It costs less than a panic
/// with a text, which brings several KiB of formatting into the module.
#[cold]
#[inline(never)]
pub fn fail(why: &str) -> ! {
    end(|reason| reason.write_str(why))
}

#[inline]
fn end(write: impl FnOnce(&mut Reason) -> fmt::Result) -> ! {
    let mut reason = Reason { bytes: 0, units: [0; 256] };
    // It takes any text, and cuts it.
    let _ = write(&mut reason);
    abort(&reason)
}

#[cfg(target_arch = "wasm32")]
fn abort(reason: &Reason) -> ! {
    #[link(wasm_import_module = "env")]
    extern "C" {
        fn abort(message: *const u16, file: u32, line: u32, column: u32) -> !;
    }
    unsafe { abort(reason.units.as_ptr(), 0, 0, 0) }
}

#[cfg(not(target_arch = "wasm32"))]
fn abort(reason: &Reason) -> ! {
    let units = reason.units.get(..reason.bytes as usize / 2);
    std::panic!("{}", std::string::String::from_utf16_lossy(units.unwrap_or(&[])))
}
