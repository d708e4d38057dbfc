// Where a store's file is, told from every other place: so that a file that was put there by a
// backup, `cp` or `rsync` is known for a copy, whoever forgot to say so.
//
// Two witnesses, neither of them enough alone:
//  - the file's identity, kept in its own meta row: a copy is another file;
//  - the last history and head, kept in PATH.lock: a copy written *over* the file is the same file,
//    but stands behind what this place has committed.
// What takes both back at once (a snapshot of the machine or of the volume) cannot be seen from
// here: `mission-transmitter store restored` says it.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "store/rows.hpp"

namespace mission::store::sqlite {

// "i=<inode> b=<birth time> h=<file handle>", as far as the file system tells. The handle has the
// inode's generation in it; the device is left out, since its number changes over restarts. Empty:
// the file cannot be asked.
std::string file_identity(const std::string& path);

// Whether every part that both have is the same; an empty one says nothing, and is.
bool same_file(std::string_view a, std::string_view b);

// What a place has seen committed.
struct witness {
    std::string log_epoch;
    seq_t head = 0;
};
std::string to_text(const witness& w);
// nullopt for what is no witness, as in the empty file of a place that has none.
std::optional<witness> parse_witness(std::string_view text);

}  // namespace mission::store::sqlite
