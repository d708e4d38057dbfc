// Moves the WAL back into the database on a thread and a connection of its own, so that the writer
// hardly ever pays for it (design section 4).
#pragma once

#include <condition_variable>
#include <mutex>
#include <thread>

#include "store/sqlite/connection.hpp"

namespace mission::store::sqlite {

class checkpointer {
  public:
    explicit checkpointer(const settings& s);
    ~checkpointer();
    checkpointer(const checkpointer&) = delete;
    checkpointer& operator=(const checkpointer&) = delete;

    // THREAD: any. A PASSIVE checkpoint follows: it waits for nobody and nobody for it.
    void wake();
    // Closes the connection before the next one; after the writer had to open the file again.
    void reopen();

  private:
    void loop();

    settings settings_;
    std::mutex mutex_;
    std::condition_variable wake_;
    bool wanted_ = false;
    bool reopen_ = false;
    bool stopping_ = false;
    std::thread thread_;
};

}  // namespace mission::store::sqlite
