#include "tests/store/power_cut_vfs.hpp"

#include <sqlite3.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <map>
#include <mutex>
#include <new>
#include <random>
#include <vector>

namespace mission::power_cut {
namespace {

constexpr std::size_t sector = 512;

// One change that the disk may or may not have when the power goes.
struct change {
    bool truncates = false;
    std::size_t at = 0;  // offset, or the new size
    std::string bytes;
};

// What the disk holds of one path for certain, and what is on its way.
struct disk_file {
    bool exists = false;  // as of the last sync
    std::string synced;
    std::vector<change> pending;
    bool removed = false;  // by the program, perhaps not yet on the disk
};

void apply(std::string& content, const change& c) {
    if (c.truncates) {
        content.resize(c.at);
        return;
    }
    if (content.size() < c.at + c.bytes.size()) content.resize(c.at + c.bytes.size());
    content.replace(c.at, c.bytes.size(), c.bytes);
}

// A random part of it: whole, none, or some of its sectors.
void apply_torn(std::string& content, const change& c, std::mt19937_64& random) {
    const auto fate = random() % 3;
    if (fate == 0) return;
    if (fate == 1 || c.truncates) return apply(content, c);
    for (std::size_t i = 0; i < c.bytes.size(); i += sector)
        if (random() % 2) apply(content, {false, c.at + i, c.bytes.substr(i, sector)});
}

class wrapping_vfs;

struct wrapped_file {
    sqlite3_file base;
    wrapping_vfs* owner;
    disk_file* disk;  // null: a temporary file
    sqlite3_file* real;
};

class wrapping_vfs final : public power_cut_vfs {
  public:
    explicit wrapping_vfs(promises p) : real_(sqlite3_vfs_find(nullptr)), promises_(p) {
        static std::atomic<int> count = 0;
        name_ = "power-cut-" + std::to_string(++count);
        vfs_ = *real_;
        vfs_.pNext = nullptr;
        vfs_.zName = name_.c_str();
        vfs_.pAppData = this;
        vfs_.szOsFile = static_cast<int>(sizeof(wrapped_file)) + real_->szOsFile;
        vfs_.xOpen = [](sqlite3_vfs* v, const char* path, sqlite3_file* f, int flags, int* out) {
            return self(v).open(path, reinterpret_cast<wrapped_file*>(f), flags, out);
        };
        vfs_.xDelete = [](sqlite3_vfs* v, const char* path, int sync) {
            return self(v).remove(path, sync);
        };
        sqlite3_vfs_register(&vfs_, 0);
    }
    ~wrapping_vfs() override { sqlite3_vfs_unregister(&vfs_); }

    const std::string& name() const override { return name_; }
    std::uint64_t syncs() const override { return syncs_; }
    std::uint64_t writes() const override { return writes_; }
    int characteristics() const {
        return promises_ == promises::safe_overwrite ? SQLITE_IOCAP_POWERSAFE_OVERWRITE : 0;
    }
    void cut() override {
        const std::lock_guard lock(mutex_);
        cut_ = true;
    }
    void cut_before_sync(std::uint64_t n) override { cut_before_ = n; }
    void fail_syncs(bool on) override { failing_ = on; }

    void settle(std::uint64_t seed) override {
        const std::lock_guard lock(mutex_);
        std::mt19937_64 random(seed);
        for (auto& [path, disk] : files_) {
            std::string content = disk.synced;
            bool exists = disk.exists;
            if (seed != 0)
                for (const auto& c : disk.pending) {
                    apply_torn(content, c, random);
                    exists = true;
                }
            ::unlink((path + "-shm").c_str());
            if (!exists) {
                ::unlink(path.c_str());
                continue;
            }
            // Written over: a machine that comes up again finds the same file.
            std::ofstream(path, std::ios::binary)
                .write(content.data(), static_cast<std::streamsize>(content.size()));
        }
        files_.clear();
    }

    int write(wrapped_file& f, const void* data, int size, sqlite3_int64 at) {
        const std::lock_guard lock(mutex_);
        if (cut_) return SQLITE_IOERR_WRITE;
        ++writes_;
        const int code = f.real->pMethods->xWrite(f.real, data, size, at);
        if (code == SQLITE_OK && f.disk)
            f.disk->pending.push_back(
                {false, static_cast<std::size_t>(at),
                 std::string(static_cast<const char*>(data), static_cast<std::size_t>(size))});
        return code;
    }
    int truncate(wrapped_file& f, sqlite3_int64 size) {
        const std::lock_guard lock(mutex_);
        if (cut_) return SQLITE_IOERR_TRUNCATE;
        const int code = f.real->pMethods->xTruncate(f.real, size);
        if (code == SQLITE_OK && f.disk)
            f.disk->pending.push_back({true, static_cast<std::size_t>(size), {}});
        return code;
    }
    // The real sync is left out: this machine keeps its power.
    int sync(wrapped_file& f) {
        const std::lock_guard lock(mutex_);
        if (++syncs_ == cut_before_) cut_ = true;
        if (cut_ || failing_) return SQLITE_IOERR_FSYNC;
        if (!f.disk) return SQLITE_OK;
        for (const auto& c : f.disk->pending)
            power_cut::apply(f.disk->synced, c);
        f.disk->pending.clear();
        // The first sync of a new file syncs its folder too, and with it what was removed there.
        if (!f.disk->exists)
            for (auto& [path, other] : files_)
                if (other.removed) other = disk_file{};
        f.disk->exists = true;
        return SQLITE_OK;
    }
    // Also reads end with the power: an abandoned connection learns nothing more.
    bool dead() {
        const std::lock_guard lock(mutex_);
        return cut_;
    }

  private:
    static wrapping_vfs& self(sqlite3_vfs* v) { return *static_cast<wrapping_vfs*>(v->pAppData); }

    int open(const char* path, wrapped_file* f, int flags, int* out);
    int remove(const char* path, int sync) {
        const std::lock_guard lock(mutex_);
        if (cut_) return SQLITE_IOERR_DELETE;
        const int code = real_->xDelete(real_, path, sync);
        if (code == SQLITE_OK) {
            // Without a sync of the folder it may come back, as it was synced last.
            auto& disk = files_[path];
            if (sync) disk = disk_file{};
            disk.pending.clear();
            disk.removed = true;
        }
        return code;
    }

    sqlite3_vfs* real_;
    sqlite3_vfs vfs_{};
    std::string name_;
    std::mutex mutex_;
    std::map<std::string, disk_file> files_;  // nodes stay where they are
    bool cut_ = false;
    const promises promises_;
    std::atomic<std::uint64_t> syncs_ = 0;
    std::atomic<std::uint64_t> writes_ = 0;
    std::atomic<std::uint64_t> cut_before_ = 0;
    std::atomic<bool> failing_ = false;
};

wrapped_file& file(sqlite3_file* f) {
    return *reinterpret_cast<wrapped_file*>(f);
}

const sqlite3_io_methods& methods() {
    static const sqlite3_io_methods table = [] {
        sqlite3_io_methods m{};
        m.iVersion = 2;  // with shared memory, without memory-mapped reads
        m.xClose = [](sqlite3_file* f) {
            sqlite3_file* real = file(f).real;
            return real->pMethods ? real->pMethods->xClose(real) : SQLITE_OK;
        };
        m.xRead = [](sqlite3_file* f, void* to, int size, sqlite3_int64 at) {
            if (file(f).owner->dead()) return SQLITE_IOERR_READ;
            return file(f).real->pMethods->xRead(file(f).real, to, size, at);
        };
        m.xWrite = [](sqlite3_file* f, const void* from, int size, sqlite3_int64 at) {
            return file(f).owner->write(file(f), from, size, at);
        };
        m.xTruncate = [](sqlite3_file* f, sqlite3_int64 size) {
            return file(f).owner->truncate(file(f), size);
        };
        m.xSync = [](sqlite3_file* f, int) { return file(f).owner->sync(file(f)); };
        m.xFileSize = [](sqlite3_file* f, sqlite3_int64* size) {
            return file(f).real->pMethods->xFileSize(file(f).real, size);
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
            // A size hint may extend the file behind our back.
            if (op == SQLITE_FCNTL_SIZE_HINT) return SQLITE_NOTFOUND;
            return file(f).real->pMethods->xFileControl(file(f).real, op, arg);
        };
        m.xSectorSize = [](sqlite3_file*) { return static_cast<int>(sector); };
        // No atomic writes, no order, no safe append.
        m.xDeviceCharacteristics = [](sqlite3_file* f) { return file(f).owner->characteristics(); };
        m.xShmMap = [](sqlite3_file* f, int page, int size, int extend, void volatile** at) {
            return file(f).real->pMethods->xShmMap(file(f).real, page, size, extend, at);
        };
        m.xShmLock = [](sqlite3_file* f, int offset, int n, int flags) {
            return file(f).real->pMethods->xShmLock(file(f).real, offset, n, flags);
        };
        m.xShmBarrier = [](sqlite3_file* f) { file(f).real->pMethods->xShmBarrier(file(f).real); };
        m.xShmUnmap = [](sqlite3_file* f, int remove) {
            return file(f).real->pMethods->xShmUnmap(file(f).real, remove);
        };
        return m;
    }();
    return table;
}

int wrapping_vfs::open(const char* path, wrapped_file* f, int flags, int* out) {
    const std::lock_guard lock(mutex_);
    f->base.pMethods = nullptr;
    if (cut_) return SQLITE_CANTOPEN;
    f->owner = this;
    f->disk = nullptr;
    f->real = reinterpret_cast<sqlite3_file*>(f + 1);
    f->real->pMethods = nullptr;
    const bool lasting = path && !(flags & SQLITE_OPEN_DELETEONCLOSE);
    if (lasting && !files_.contains(path)) {
        // What was there before the program came is on the disk.
        disk_file disk;
        std::ifstream in(path, std::ios::binary);
        disk.exists = in.is_open();
        if (in) disk.synced.assign(std::istreambuf_iterator<char>(in), {});
        files_.emplace(path, std::move(disk));
    }
    // A new file of that name never shows the old one's content.
    if (lasting && files_.at(path).removed) files_.at(path) = disk_file{};
    const int code = real_->xOpen(real_, path, f->real, flags, out);
    if (code == SQLITE_OK || f->real->pMethods) f->base.pMethods = &methods();
    if (lasting) f->disk = &files_.at(path);
    return code;
}

}  // namespace

std::unique_ptr<power_cut_vfs> power_cut_vfs::make(promises p) {
    return std::make_unique<wrapping_vfs>(p);
}

}  // namespace mission::power_cut
