// Writes of the write-ahead log, gathered.
//
// SQLite writes each frame of its log by itself, and the frame's header apart from its page: two
// calls for 4 KiB, a fifth of what a long transaction's commit costs. Nobody reads them before the
// commit has synced the log and said so in the shared index. So a VFS that passes everything on
// gathers the log's writes and hands them on as one when something needs them in the file: a sync,
// a read of them, a look at the size, a write elsewhere, or a full buffer.
//
// Holds only while each commit syncs the log before others may see it (synchronous FULL or EXTRA),
// and on files whose unwritten neighbours a torn write leaves alone
// (SQLITE_IOCAP_POWERSAFE_OVERWRITE; without it SQLite writes beyond its last sync). Elsewhere
// nothing is gathered. What cannot be handed on is the error of the call that needed it, and of
// every one after it, until it is forgotten: the transaction must not commit.
#pragma once

#include <string>

struct sqlite3;

namespace mission::store::sqlite {

// The name of the VFS that gathers for `base` (empty: the default one), registered at its first
// use and never taken back. THREAD: any. Empty when `base` is not registered.
std::string gathering_vfs(const std::string& base);

// After every rollback, also one that SQLite did by itself: what the transaction has left here is
// never written. Its place in the log is the next writer's, which may be another process.
void forget_gathered(sqlite3* db) noexcept;

}  // namespace mission::store::sqlite
