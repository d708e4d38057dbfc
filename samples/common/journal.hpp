// A file of JSON lines that is only ever added to, and survives a power cut up to the last line
// that append() has returned for.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "samples/common/json.hpp"

namespace sample {

// THREAD: not safe; the owner's lock.
class journal {
  public:
    // Opens or makes it (mode 0600) and hands every whole line to `line`, oldest first. A line that
    // a crash has cut short was never answered for: it is taken off. runtime_error when the file
    // cannot be used, is in use by another process, or a whole line is no JSON object.
    journal(const std::string& path, const std::function<void(const rj::Document&)>& line);
    ~journal();
    journal(const journal&) = delete;
    journal& operator=(const journal&) = delete;

    // On disk when it returns; runtime_error else, and then nothing more is taken: what was written
    // of the line is not known.
    void append(const json_object& line);

  private:
    const std::string path_;
    int fd_ = -1;
    bool broken_ = false;
};

// Makes the file's name itself durable: after it was made or renamed.
void sync_directory_of(const std::string& path);

}  // namespace sample
