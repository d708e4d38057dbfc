#include "store/sqlite/checkpointer.hpp"

#include <optional>

namespace mission::store::sqlite {

checkpointer::checkpointer(const settings& s) : settings_(s), thread_([this] { loop(); }) {}

checkpointer::~checkpointer() {
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    wake_.notify_one();
    thread_.join();
}

void checkpointer::wake() {
    {
        const std::lock_guard lock(mutex_);
        if (wanted_) return;
        wanted_ = true;
    }
    wake_.notify_one();
}

void checkpointer::reopen() {
    const std::lock_guard lock(mutex_);
    reopen_ = true;
}

void checkpointer::loop() {
    std::optional<connection> c;
    std::unique_lock lock(mutex_);
    for (;;) {
        wake_.wait(lock, [this] { return wanted_ || stopping_; });
        if (stopping_) return;
        wanted_ = false;
        const bool fresh = std::exchange(reopen_, false);
        lock.unlock();
        try {
            if (fresh) c.reset();
            if (!c) c.emplace(settings_);
            const int code = sqlite3_wal_checkpoint_v2(c->handle(), nullptr,
                                                       SQLITE_CHECKPOINT_PASSIVE, nullptr, nullptr);
            // Busy and full are the writer's to notice; the WAL holds everything meanwhile.
            if (code != SQLITE_OK && code != SQLITE_BUSY) c.reset();
        } catch (const store_error&) {
            c.reset();
        }
        lock.lock();
    }
}

}  // namespace mission::store::sqlite
