#include "store/sqlite/place.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <array>
#include <charconv>
#include <cstring>

#include "jose/base64url.hpp"

namespace mission::store::sqlite {
namespace {

constexpr std::string_view witness_name = "mission-signals-store ";

// The value behind "<name>=", up to the next blank.
std::string_view part(std::string_view text, char name) {
    while (!text.empty()) {
        const auto end = std::min(text.find(' '), text.size());
        const auto word = text.substr(0, end);
        if (word.size() > 2 && word[0] == name && word[1] == '=') return word.substr(2);
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return {};
}

std::string handle_of(const std::string& path) {
    union {
        file_handle head;
        std::array<char, sizeof(file_handle) + MAX_HANDLE_SZ> room;
    } h{};
    std::memset(&h, 0, sizeof h);
    h.head.handle_bytes = MAX_HANDLE_SZ;
    int mount = 0;  // a number of this start of the machine
    if (::name_to_handle_at(AT_FDCWD, path.c_str(), &h.head, &mount, AT_SYMLINK_FOLLOW) != 0)
        return {};
    const std::string_view octets(h.room.data() + sizeof(file_handle), h.head.handle_bytes);
    return std::to_string(h.head.handle_type) + "." + jose::base64url_encode(octets);
}

}  // namespace

std::string file_identity(const std::string& path) {
    struct statx s {};
    if (::statx(AT_FDCWD, path.c_str(), AT_STATX_SYNC_AS_STAT, STATX_INO | STATX_BTIME, &s) != 0)
        return {};
    std::string out = "i=" + std::to_string(s.stx_ino);
    if ((s.stx_mask & STATX_BTIME) != 0)
        out +=
            " b=" + std::to_string(s.stx_btime.tv_sec) + "." + std::to_string(s.stx_btime.tv_nsec);
    if (const auto handle = handle_of(path); !handle.empty()) out += " h=" + handle;
    return out;
}

bool same_file(std::string_view a, std::string_view b) {
    for (const char name : {'i', 'b', 'h'}) {
        const auto x = part(a, name), y = part(b, name);
        if (!x.empty() && !y.empty() && x != y) return false;
    }
    return true;
}

std::string to_text(const witness& w) {
    return std::string(witness_name) + w.log_epoch + " " + std::to_string(w.head);
}

std::optional<witness> parse_witness(std::string_view text) {
    if (!text.starts_with(witness_name)) return std::nullopt;
    text.remove_prefix(witness_name.size());
    const auto gap = text.find(' ');
    if (gap == 0 || gap == std::string_view::npos) return std::nullopt;
    witness w;
    w.log_epoch = text.substr(0, gap);
    text.remove_prefix(gap + 1);
    const auto read = std::from_chars(text.data(), text.data() + text.size(), w.head);
    // The rest is blank: half a number is none.
    if (read.ec != std::errc() || read.ptr == text.data() + text.size() || w.head < 0 ||
        (*read.ptr != ' ' && *read.ptr != '\n'))
        return std::nullopt;
    return w;
}

}  // namespace mission::store::sqlite
