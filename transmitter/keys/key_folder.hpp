// The folder of an issuer's keys:
//
//   keys.json           the state (key_state.hpp); whoever replaces it has changed everything at
//                       once, or nothing
//   ALG-KID.pem         private keys of those that sign or will (PKCS#8)
//   audit.jsonl         one line per operation, appended and synced
//   lock                held (flock) by whoever changes something
//
// A key file is written before the state that names it, and removed after the state that no longer
// does; what a crash leaves between is removed by the next one who holds the lock. Folders of
// earlier versions (ROLE-ALG[-anything].pem, no state) are adopted.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "transmitter/keys/key_state.hpp"

namespace mission::transmitter {

class key_folder {
  public:
    explicit key_folder(std::string path) : path_(std::move(path)) {}
    const std::string& path() const noexcept { return path_; }

    // Changes whenever the state is replaced.
    struct stamp {
        ino_t inode = 0;
        off_t size = 0;
        std::int64_t changed_ns = 0;
        friend bool operator==(const stamp&, const stamp&) = default;
    };
    stamp look() const;  // all 0 when there is none

    // not_found when there is no state; key_malformed names the file.
    result<key_state> load() const;
    // key_unreadable, key_permissions, key_malformed: each names the file.
    result<jose::private_key> load_private(const key_entry& k) const;

    class editor;
    // Waits for others at most so long: store_locked is not an error of keys, so io_error then.
    // `now`: of what is adopted.
    result<editor> edit(std::chrono::milliseconds patience, wall_time now) const;

  private:
    std::string file(std::string_view name) const { return path_ + "/" + std::string(name); }

    std::string path_;
};

// The right to change the folder, with what it holds; released at destruction.
class key_folder::editor {
  public:
    ~editor();
    editor(editor&& other) noexcept;
    editor(const editor&) = delete;
    editor& operator=(const editor&) = delete;
    editor& operator=(editor&&) = delete;

    key_state state;  // empty in a folder without one
    // A fresh key, its private part durable in the folder.
    result<key_entry> make_key(jose::alg a) const;
    // Makes `state` and `operations` durable; then removes what the state dooms.
    result<void> commit(std::vector<key_operation> operations);
    // Tells the audit of what was refused.
    void refused(key_operation o) const;

  private:
    friend class key_folder;
    editor(key_folder folder, int lock) : folder_(std::move(folder)), lock_(lock) {}
    result<void> settle(wall_time now);
    result<void> adopt(wall_time now);
    result<void> catch_up_audit() const;
    void sweep() const;

    key_folder folder_;
    int lock_;
};

}  // namespace mission::transmitter
