// A copy of a store, for the day that it is needed: `mission-transmitter store copy`.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.hpp"
#include "store/store.hpp"

namespace mission::store {

struct copy_report {
    std::string path;
    std::string log_epoch;    // of the store that was copied
    seq_t head = 0;           // the last seq that the copy holds
    wall_time last_commit{};  // 1970 when nothing was ever committed
    wall_time copied_at{};
    std::uint64_t bytes = 0;
    std::int64_t missions = 0, streams = 0;
};

// Copies what is committed when it begins to `to`, one file, mode 0600, that says of itself that it
// is a copy. The store may be in use meanwhile: its writer is not held up, only its WAL grows until
// the copy is done. Written under another name (`to`.part), checked, synced, then named `to`; on
// failure nothing is left. Blocking; what it takes is given by the store's size at its beginning.
// Errors are sentences with the file's name: store_conflict for a target that is there already or
// belongs to the store itself, not_found without a store, store_locked while another copy to the
// same target is made, store_full, store_newer, not_a_database, store_corrupt (the copy failed its
// check, as the store would), bad_configuration for a store that is no file.
// For a process of its own: where the store is open in the same process, closing its file here lets
// go of the locks that SQLite has there (fcntl(2)), and others may think that nobody uses it.
// THREAD: any.
result<copy_report> copy_store(std::string_view url, const std::string& to,
                               const store_options& options = {});

// Begins a new history in a store that nobody has open: for what the store cannot notice by itself.
// not_found without a store; otherwise open_store()'s errors. Blocking. THREAD: any.
result<new_history> declare_restored(std::string_view url, store_options options = {});

}  // namespace mission::store
