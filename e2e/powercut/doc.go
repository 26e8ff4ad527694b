// Package powercut tests what is left of a command's work when the power fails, on Linux (amd64 and
// arm64). It has only tests.
//
// For each command, [TestPowerCuts] runs the real program under ptrace, records its operations on
// files and folders, and picks moments at which the power fails. For each moment it picks disks that
// the syncs up to there allow, writes each of them into a folder, and runs the next commands there.
//
// record_linux_test.go records, tree_linux_test.go and model_linux_test.go are the disk,
// powercut_linux_test.go picks, after_linux_test.go checks, and scenarios_linux_test.go has the
// commands.
//
// # The model of a disk
//
// Writes lie in memory until a sync, and reach the disk earlier, later or
// never. The program sees one tree of files. The disk has some of the operations that led to it:
//
//   - Data. After the last fsync or fdatasync of a file, each page of 4096 bytes of each write is on
//     the disk or not, in any order. Of a page, the first sectors of 512 bytes may be there alone.
//   - Sizes. When a write makes a file longer, its pages and the size reach the disk apart from each
//     other. So a name can lead to an empty file, to the front of a file, and to zeros instead of
//     data. A truncation may be missing, too. An fsync or fdatasync covers the size.
//   - Modes. A chmod may be missing until an fsync; an fdatasync does not cover it.
//   - Names. Creating, linking, renaming and removing a file, and making and removing a folder,
//     change names. An fsync of a folder makes the changes of the names in it last, but not its own
//     name in the folder above. A rename is done or not, and never by half. A file that was opened
//     with O_TMPFILE is on the disk once a link gives it a name.
//   - A sync covers what was done before it began.
//   - The disk has everything from before the command.
//
// Two properties depend on the file system, and each disk is drawn under one of the four
// combinations:
//
//   - Order. With a journal, as in ext4 and xfs, names reach the disk in the order of the
//     operations, in all folders: some first part of them is there, and an fsync of a folder takes
//     along what came before in others. Without such an order, as in ext2 and btrfs, any of them may
//     be there, except that a name cannot be in a state without having been in those before.
//   - fsync of a file. On ext4 and xfs, it also makes the newest name of the file last, and the
//     folders above it. POSIX does not promise that. Here an fdatasync never does so.
//
// For every moment there are extremes: with nothing that need not be there, with everything, without
// one part, with one part alone, and with the first n names. [TestPowerCuts] draws from these and, as
// often, any set of parts.
//
// The model follows "All File Systems Are Not Created Equal" (Pillai et al., OSDI 2014), which
// measured what file systems keep in order and whole, and cuts after each operation, as "Finding
// Crash-Consistency Bugs with Bounded Black-Box Crash Testing" does (CrashMonkey; Mohan et al., OSDI
// 2018). It is looser than any one of the file systems: for example, ext4 writes the data of a new
// file before a rename puts it in the place of another, and the model does not.
//
// # What is not modelled
//
// A disk that lies about syncs, or that damages a page while it writes it. Writing by way of a
// mapping (bbolt only reads that way), following symbolic links, renaming folders, other processes,
// owners, times and extended attributes. If the program makes a call that could change files in
// another way, the recorder fails, and so it does if the tree that it recorded is not the one that
// the program left.
package powercut
