//! The time of day of another machine.

use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A library by which a program takes its wall clock to be ahead, by as much as a file says at that moment.
pub struct OtherClock {
    /// What is to be loaded before all others.
    pub library: PathBuf,
    ahead: PathBuf,
}

impl OtherClock {
    /// Builds it with the compiler that links Rust's programs.
    pub fn in_folder(folder: &Path) -> Self {
        let [source, library, ahead] = ["clock.c", "clock.so", "ahead"].map(|of| folder.join(of));
        let text = format!(
            "#include <fcntl.h>\n#include <stdlib.h>\n#include <sys/mman.h>\n\
             #include <sys/syscall.h>\n#include <sys/time.h>\n#include <time.h>\n#include <unistd.h>\n\
             long syscall(long number, ...);\n\
             static volatile const long *ahead;\n\
             __attribute__((constructor)) static void begin(void) {{\n\
             int file = open(\"{at}\", O_RDONLY);\n\
             void *there = mmap(0, sizeof(long), PROT_READ, MAP_SHARED, file, 0);\n\
             if (there == MAP_FAILED) abort();\n\
             ahead = there;\n}}\n\
             int gettimeofday(struct timeval *at, void *zone) {{\n\
             int failed = (int)syscall(SYS_gettimeofday, at, zone);\n\
             if (at && ahead) at->tv_sec += *ahead;\n\
             return failed;\n}}\n\
             int clock_gettime(clockid_t clock, struct timespec *at) {{\n\
             int failed = (int)syscall(SYS_clock_gettime, clock, at);\n\
             if (!failed && ahead && clock == CLOCK_REALTIME) at->tv_sec += *ahead;\n\
             return failed;\n}}\n",
            at = ahead.display()
        );
        std::fs::write(&source, text).expect("the folder is ours");
        std::fs::write(&ahead, [0; 8]).expect("the folder is ours");
        let built = Command::new("cc")
            .args(["-shared", "-fPIC", "-o"])
            .args([&library, &source])
            .output()
            .expect("the compiler that Rust links with");
        assert!(built.status.success(), "{built:?}");
        Self { library, ahead }
    }

    /// Written in place: the file is mapped by who reads it.
    pub fn is_ahead_by(&self, seconds: i64) {
        let file = std::fs::File::options().write(true).open(&self.ahead);
        let written = file.and_then(|file| file.write_all_at(&seconds.to_ne_bytes(), 0));
        written.expect("the folder is ours");
    }
}
