#include "store/sqlite/gathered_log.hpp"

#include <sqlite3.h>

#include <cstring>
#include <list>
#include <memory>
#include <mutex>
#include <new>

namespace mission::store::sqlite {
namespace {

// As much as goes on at once: SQLite's own VFS takes less than 128 KiB. A page is at most 64 KiB,
// and what is larger than this goes past the buffer.
constexpr int capacity = 96 << 10;

// A log that is open. Lies in the room that SQLite gives; the base's own file follows it.
struct gathered_file {
    sqlite3_file base{};
    sqlite3_file* real = nullptr;
    bool gathers = false;
    std::unique_ptr<char[]> buffer;  // from the first write on: readers never need one
    int used = 0;
    sqlite3_int64 at = 0;  // where the buffer's first octet belongs
    int failed = SQLITE_OK;

    // What has failed once fails until it is forgotten: SQLite may take back one statement alone
    // and commit the rest, which is not in the file.
    int hand_on() {
        if (used == 0) return SQLITE_OK;
        if (failed == SQLITE_OK) failed = real->pMethods->xWrite(real, buffer.get(), used, at);
        if (failed == SQLITE_OK) used = 0;
        return failed;
    }

    int read(void* to, int size, sqlite3_int64 from) {
        const bool meets = from < at + used && at < from + size;
        if (used > 0 && meets)
            if (const int code = hand_on(); code != SQLITE_OK) return code;
        return real->pMethods->xRead(real, to, size, from);
    }

    int write(const void* data, int size, sqlite3_int64 to) {
        if (used > 0 && (to != at + used || size > capacity - used))
            if (const int code = hand_on(); code != SQLITE_OK) return code;
        if (!gathers || size > capacity) return real->pMethods->xWrite(real, data, size, to);
        if (!buffer) buffer.reset(new (std::nothrow) char[capacity]);
        if (!buffer) return real->pMethods->xWrite(real, data, size, to);
        if (used == 0) at = to;
        std::memcpy(buffer.get() + used, data, static_cast<std::size_t>(size));
        used += size;
        return SQLITE_OK;
    }
};

gathered_file& file(sqlite3_file* f) {
    return *reinterpret_cast<gathered_file*>(f);
}

// Calls the base's file once everything is in it.
template <class Call>
int after_writes(sqlite3_file* f, Call call) {
    if (const int code = file(f).hand_on(); code != SQLITE_OK) return code;
    return call(file(f).real, file(f).real->pMethods);
}

const sqlite3_io_methods& methods() {
    static const sqlite3_io_methods table = [] {
        sqlite3_io_methods m{};
        m.iVersion = 1;  // shared memory and mapped pages are the database file's
        m.xClose = [](sqlite3_file* f) {
            // What is left was never committed, and its place may be another's by now.
            const int code = file(f).real->pMethods->xClose(file(f).real);
            file(f).~gathered_file();
            return code;
        };
        m.xRead = [](sqlite3_file* f, void* to, int size, sqlite3_int64 from) {
            return file(f).read(to, size, from);
        };
        m.xWrite = [](sqlite3_file* f, const void* from, int size, sqlite3_int64 to) {
            return file(f).write(from, size, to);
        };
        m.xTruncate = [](sqlite3_file* f, sqlite3_int64 size) {
            return after_writes(
                f, [=](sqlite3_file* r, auto* real) { return real->xTruncate(r, size); });
        };
        m.xSync = [](sqlite3_file* f, int flags) {
            return after_writes(f,
                                [=](sqlite3_file* r, auto* real) { return real->xSync(r, flags); });
        };
        m.xFileSize = [](sqlite3_file* f, sqlite3_int64* size) {
            return after_writes(
                f, [=](sqlite3_file* r, auto* real) { return real->xFileSize(r, size); });
        };
        m.xLock = [](sqlite3_file* f, int level) {
            return file(f).real->pMethods->xLock(file(f).real, level);
        };
        m.xUnlock = [](sqlite3_file* f, int level) {
            return file(f).real->pMethods->xUnlock(file(f).real, level);
        };
        m.xCheckReservedLock = [](sqlite3_file* f, int* held) {
            return file(f).real->pMethods->xCheckReservedLock(file(f).real, held);
        };
        m.xFileControl = [](sqlite3_file* f, int op, void* arg) {
            return file(f).real->pMethods->xFileControl(file(f).real, op, arg);
        };
        m.xSectorSize = [](sqlite3_file* f) {
            return file(f).real->pMethods->xSectorSize(file(f).real);
        };
        m.xDeviceCharacteristics = [](sqlite3_file* f) {
            return file(f).real->pMethods->xDeviceCharacteristics(file(f).real);
        };
        return m;
    }();
    return table;
}

struct registered {
    sqlite3_vfs vfs{};  // first: SQLite hands out its address
    sqlite3_vfs* real = nullptr;
    std::string of, name;
};

int open(sqlite3_vfs* v, const char* path, sqlite3_file* f, int flags, int* out) {
    sqlite3_vfs* real = reinterpret_cast<registered*>(v)->real;
    // Every other file is the base's own, as if this were not here.
    if (!(flags & SQLITE_OPEN_WAL)) return real->xOpen(real, path, f, flags, out);
    auto* g = new (f) gathered_file;
    g->real = reinterpret_cast<sqlite3_file*>(g + 1);
    g->real->pMethods = nullptr;
    const int code = real->xOpen(real, path, g->real, flags, out);
    if (!g->real->pMethods) {
        g->~gathered_file();  // and no methods: nobody closes it
        f->pMethods = nullptr;
        return code;
    }
    // Whether it writes beyond its last sync SQLite decides by the database file.
    sqlite3_file* database = sqlite3_database_file_object(path);
    g->gathers = (database->pMethods->xDeviceCharacteristics(database) &
                  SQLITE_IOCAP_POWERSAFE_OVERWRITE) != 0;
    g->base.pMethods = &methods();
    return code;
}

}  // namespace

void forget_gathered(sqlite3* db) noexcept {
    sqlite3_file* log = nullptr;
    if (sqlite3_file_control(db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &log) != SQLITE_OK || !log ||
        log->pMethods != &methods())
        return;
    file(log).used = 0;
    file(log).failed = SQLITE_OK;
}

std::string gathering_vfs(const std::string& base) {
    static std::mutex mutex;
    static std::list<registered> all;  // where they lie is known to SQLite
    const std::lock_guard lock(mutex);
    sqlite3_vfs* real = sqlite3_vfs_find(base.empty() ? nullptr : base.c_str());
    if (!real) return {};
    for (auto& r : all)
        if (r.real == real && r.of == real->zName) return r.name;
    auto& r = all.emplace_back();
    r.real = real;
    r.of = real->zName;
    r.name = "gathered-log-" + std::to_string(all.size()) + "-" + r.of;
    r.vfs = *real;  // all but open() goes to the base itself, with the base's own data
    r.vfs.pNext = nullptr;
    r.vfs.zName = r.name.c_str();
    r.vfs.szOsFile = static_cast<int>(sizeof(gathered_file)) + real->szOsFile;
    r.vfs.xOpen = open;
    if (sqlite3_vfs_register(&r.vfs, 0) != SQLITE_OK) {
        all.pop_back();
        return {};
    }
    return r.name;
}

}  // namespace mission::store::sqlite
