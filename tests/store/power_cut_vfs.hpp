// An SQLite VFS that knows what a power cut would leave behind.
//
// It wraps the default VFS. Writes, truncations, creations and removals go through at once, so that
// the running program sees them; beside that it keeps, per file, the content as of the last xSync
// and the changes since. cut() decides the end: every file becomes its synced content plus, of the
// unsynced changes, a random subset (a disk writes in any order, and may tear what it writes in
// sectors of 512). From then on every operation of the abandoned connections fails, so that nothing
// they still do reaches the files.
//
// Shared memory is passed through and thrown away with the machine: cut() removes "-shm".
//
// Use: register one, hand its name to the program under test, work, cut(), then drop the program
// (its commits fail now) and open the files again by any VFS.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

namespace mission::power_cut {

class power_cut_vfs {
  public:
    // Registers under a name of its own, not as the default. `promises` nothing, or that a torn
    // write leaves its neighbours alone, as file systems do (SQLITE_IOCAP_POWERSAFE_OVERWRITE).
    enum class promises { nothing, safe_overwrite };
    static std::unique_ptr<power_cut_vfs> make(promises p = promises::nothing);
    virtual ~power_cut_vfs() = default;  // unregisters; every file is closed by then

    virtual const std::string& name() const = 0;
    // From here on everything fails; settle() writes what survived. THREAD: any.
    virtual void cut() = 0;
    // After all connections are closed: leaves the files as a disk would. `seed` chooses which
    // unsynced changes had reached it; 0: none of them.
    virtual void settle(std::uint64_t seed) = 0;
    // Syncs seen so far, and: cut() by itself just before the n-th (0: never).
    virtual std::uint64_t syncs() const = 0;
    virtual std::uint64_t writes() const = 0;  // likewise, to any file
    virtual void cut_before_sync(std::uint64_t n) = 0;
    // Every sync fails with an I/O error while set, as a dying disk has it.
    virtual void fail_syncs(bool on) = 0;
};

}  // namespace mission::power_cut
