#include "transmitter/keys/key_folder.hpp"

#include <fcntl.h>
#include <pwd.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <thread>

#include "base/json.hpp"
#include "transmitter/keys/private_file.hpp"
#include "transmitter/log.hpp"

namespace mission::transmitter {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view state_name = "keys.json";
constexpr std::string_view audit_name = "audit.jsonl";
constexpr std::string_view lock_name = "lock";
constexpr std::size_t state_bytes = 1u << 20;
constexpr auto lock_retry = std::chrono::milliseconds(20);
constexpr std::size_t audit_tail = 64u << 10;

// {"uid":0,"login":"root","pid":1}: of this process.
std::string whoami() {
    json::buffer out;
    json::writer w(out);
    w.StartObject();
    json::key(w, "uid");
    w.Uint64(::getuid());
    char text[4096];
    passwd entry{};
    passwd* found = nullptr;
    if (::getpwuid_r(::getuid(), &entry, text, sizeof text, &found) == 0 && found)
        json::member(w, "login", found->pw_name);
    json::key(w, "pid");
    w.Int64(::getpid());
    w.EndObject();
    return json::text(out);
}

// Of the audit's last lines, the highest number; 0 when there is none.
std::int64_t last_audited(const std::string& file) {
    std::ifstream in(file, std::ios::binary | std::ios::ate);
    if (!in) return 0;
    const auto size = static_cast<std::int64_t>(in.tellg());
    in.seekg(std::max<std::int64_t>(0, size - static_cast<std::int64_t>(audit_tail)));
    std::int64_t last = 0;
    for (std::string line; std::getline(in, line);) {
        const auto doc = json::parse(line);
        if (doc) last = std::max(last, json::find_int(*doc, "number").value_or(0));
    }
    return last;
}

std::vector<std::string> names_in(const std::string& folder) {
    std::vector<std::string> names;
    std::error_code failed;
    for (fs::directory_iterator it(folder, failed), end; !failed && it != end; it.increment(failed))
        names.push_back(it->path().filename().string());
    std::sort(names.begin(), names.end());
    return names;
}

// "ES256-KID.pem", as make_key names them.
bool is_key_file(std::string_view name) {
    return name.ends_with(".pem") && (name.starts_with("ES256-") || name.starts_with("RS256-"));
}

// "current-ES256.pem" of an earlier version.
std::optional<std::pair<key_role, jose::alg>> parse_old_name(const std::string& name) {
    if (!name.ends_with(".pem")) return std::nullopt;
    for (const auto role : {key_role::current, key_role::next, key_role::retained}) {
        const std::string prefix = std::string(transmitter::name(role)) + "-";
        if (!name.starts_with(prefix)) continue;
        const auto rest = name.substr(prefix.size(), name.size() - prefix.size() - 4);
        const auto a = jose::parse_alg(rest.substr(0, rest.find('-')));
        if (a && (*a == jose::alg::es256 || *a == jose::alg::rs256)) return std::pair{role, *a};
    }
    return std::nullopt;
}

}  // namespace

key_folder::stamp key_folder::look() const {
    struct stat s {};
    if (::stat(file(state_name).c_str(), &s) != 0) return {};
    return {s.st_ino, s.st_size,
            static_cast<std::int64_t>(s.st_mtim.tv_sec) * 1'000'000'000 + s.st_mtim.tv_nsec};
}

result<key_state> key_folder::load() const {
    const auto text = read_private_file(file(state_name), state_bytes);
    if (!text) return text.error();
    auto state = parse_key_state(*text);
    if (!state) return error{state.error().code, file(state_name) + ": " + state.error().detail};
    return state;
}

result<jose::private_key> key_folder::load_private(const key_entry& k) const {
    const std::string where = file(k.file);
    const auto pem = read_private_file(where);
    if (!pem) {
        // A key that the state names must be there: "not found" would sound like nothing.
        if (pem.error().code == errc::not_found)
            return error{errc::key_unreadable, pem.error().detail};
        return pem.error();
    }
    auto key = jose::private_key::from_pem(*pem, k.algorithm);
    if (!key) return error{key.error().code, where + ": " + key.error().message()};
    if (key->algorithm() != k.algorithm)
        return error{errc::key_malformed,
                     where + ": holds no key for " + std::string(jose::name(k.algorithm))};
    if (key->kid() != k.kid) return error{errc::key_malformed, where + ": holds another key"};
    return key;
}

result<key_folder::editor> key_folder::edit(std::chrono::milliseconds patience,
                                            wall_time now) const {
    const std::string path = file(lock_name);
    const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, S_IRUSR | S_IWUSR);
    if (fd < 0) return error{errc::io_error, path + ": cannot be locked: " + std::strerror(errno)};
    editor e(*this, fd);
    const auto give_up = std::chrono::steady_clock::now() + patience;
    while (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK && errno != EINTR)
            return error{errc::io_error, path + ": cannot be locked: " + std::strerror(errno)};
        if (std::chrono::steady_clock::now() >= give_up)
            return error{errc::io_error, path + ": another process is changing the keys"};
        std::this_thread::sleep_for(lock_retry);
    }
    if (auto settled = e.settle(now); !settled) return settled.error();
    return e;
}

key_folder::editor::editor(editor&& other) noexcept
    : state(std::move(other.state)),
      folder_(other.folder_),
      lock_(std::exchange(other.lock_, -1)) {}

key_folder::editor::~editor() {
    if (lock_ >= 0) ::close(lock_);
}

// What the last holder of the lock has not come to.
result<void> key_folder::editor::settle(wall_time now) {
    auto present = folder_.load();
    if (!present) {
        if (present.error().code != errc::not_found) return present.error();
        if (::access(folder_.file(audit_name).c_str(), F_OK) == 0)
            return error{
                errc::key_unreadable,
                folder_.file(state_name) +
                    ": is gone; put it back, or move the folder away to start with new keys"};
        sweep();  // of a first start that was cut off
        return adopt(now);
    }
    state = std::move(*present);
    sweep();
    return catch_up_audit();
}

// Files of an earlier version keep their names; the state that names them is written by the first
// commit.
result<void> key_folder::editor::adopt(wall_time now) {
    for (const auto& name : names_in(folder_.path_)) {
        const auto what = parse_old_name(name);
        if (!what) continue;
        const std::string where = folder_.file(name);
        const auto pem = read_private_file(where);
        if (!pem) return pem.error();
        const auto key = jose::private_key::from_pem(*pem, what->second);
        if (!key) return error{key.error().code, where + ": " + key.error().message()};
        if (key->algorithm() != what->second)
            return error{errc::key_malformed,
                         where + ": holds no key for " + std::string(jose::name(what->second))};
        key_entry k;
        k.kid = key->kid();
        k.algorithm = what->second;
        k.role = what->first;
        k.file = name;
        k.jwk = key->to_public().to_jwk();
        k.created_at = now;
        if (state.find(k.kid) || (k.role != key_role::retained && state.find(k.algorithm, k.role)))
            return error{errc::key_malformed,
                         where + ": a second " + std::string(transmitter::name(k.role)) + " key"};
        if (k.role == key_role::current) k.current_at = now;
        if (k.role == key_role::retained) {
            k.retired_at = now;
            state.doomed.push_back(std::exchange(k.file, {}));
        }
        state.keys.push_back(std::move(k));
    }
    return {};
}

// The last change is in the state; its lines are in the audit, or follow now.
result<void> key_folder::editor::catch_up_audit() const {
    const std::string file = folder_.file(audit_name);
    const auto last = last_audited(file);
    std::string lines;
    for (const auto& o : state.last_operations)
        if (o.number > last) lines += print_operation(o);
    if (lines.empty()) return {};
    return append_private_file(file, lines);
}

// Removes private keys that nobody names any more, and half-written files.
void key_folder::editor::sweep() const {
    for (const auto& name : names_in(folder_.path_)) {
        bool stale =
            std::find(state.doomed.begin(), state.doomed.end(), name) != state.doomed.end();
        if (is_key_file(name))
            stale = std::none_of(state.keys.begin(), state.keys.end(),
                                 [&](const key_entry& k) { return k.file == name; });
        if (name.ends_with(".new") &&
            (name.starts_with(state_name) || is_key_file(name.substr(0, name.find(".pem") + 4))))
            stale = true;
        if (stale && ::unlink(folder_.file(name).c_str()) != 0)
            log(level::error, "a key file that is no longer used cannot be removed",
                {{"file", folder_.file(name)}, {"reason", std::strerror(errno)}});
    }
}

result<key_entry> key_folder::editor::make_key(jose::alg a) const {
    auto key = jose::private_key::generate(a);
    // An operator names a key by its kid: one that begins with '-' would look like an option.
    while (key && key->kid().starts_with('-'))
        key = jose::private_key::generate(a);
    if (!key) return key.error();
    key_entry k;
    k.kid = key->kid();
    k.algorithm = a;
    k.file = std::string(jose::name(a)) + "-" + k.kid + ".pem";
    k.jwk = key->to_public().to_jwk();
    if (auto written = write_private_file(folder_.file(k.file), key->to_pem()); !written)
        return written.error();
    return k;
}

result<void> key_folder::editor::commit(std::vector<key_operation> operations) {
    for (auto& o : operations)
        o.who = whoami();
    // What is removed already is not kept in mind for ever.
    std::erase_if(state.doomed, [&](const std::string& name) {
        return ::access(folder_.file(name).c_str(), F_OK) != 0;
    });
    state.last_operations = std::move(operations);
    if (auto written = replace_private_file(folder_.file(state_name), print_key_state(state));
        !written)
        return written;
    // From here on it is so, whatever becomes of the rest: the next holder of the lock goes on.
    if (auto audited = catch_up_audit(); !audited)
        log(level::error, "the audit of the keys cannot be written",
            {{"reason", audited.error().detail}});
    sweep();
    return {};
}

void key_folder::editor::refused(key_operation o) const {
    o.who = whoami();
    if (auto audited = append_private_file(folder_.file(audit_name), print_operation(o)); !audited)
        log(level::error, "the audit of the keys cannot be written",
            {{"reason", audited.error().detail}});
}

}  // namespace mission::transmitter
