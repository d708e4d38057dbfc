// The file handler: one name is taken out of one directory, and looked for again.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "mission_signals/presets.hpp"
#include "receiver/presets/confined.hpp"
#include "receiver/presets/patience.hpp"
#include "receiver/words.hpp"

namespace mission_signals {
namespace {

using namespace mission::receiver::presets;
using mission::errc;

std::string kind_of(const struct stat& s) {
    if (S_ISREG(s.st_mode)) return "file";
    if (S_ISSOCK(s.st_mode)) return "socket";
    if (S_ISLNK(s.st_mode)) return "symbolic link";
    if (S_ISDIR(s.st_mode)) return "directory";
    return "device or pipe";
}

outcome remove(const removed_file& o, const std::string& path) {
    const auto shown = o.directory + "/" + mission::receiver::peer_words(path);
    const auto refused = [&](const mission::error& e) {
        if (e == errc::not_found) return outcome::done(shown + ": not there");
        return outcome::failed(shown + ": " + mission::receiver::peer_words(e.detail));
    };
    if (const auto fine = check_relative(path); !fine)
        return outcome::failed(fine.error().detail + ": refused");
    // A directory that is not mounted is no evidence that what was in it is gone.
    const auto root = open_root(o.directory);
    if (!root) return outcome::failed(root.error().detail);
    const auto [above, name] = split_last(path);
    const auto parent = open_below(root->get(), above);
    if (!parent) return refused(parent.error());

    struct stat found {};
    if (::fstatat(parent->get(), name.c_str(), &found, AT_SYMLINK_NOFOLLOW) != 0) {
        if (errno == ENOENT) return outcome::done(shown + ": not there");
        return outcome::failed(shown + ": " + std::strerror(errno));
    }
    const auto kind = kind_of(found);
    if (!S_ISREG(found.st_mode) && !S_ISSOCK(found.st_mode))
        return outcome::failed(shown + " is a " + kind + ": refused");
    if (::unlinkat(parent->get(), name.c_str(), 0) != 0 && errno != ENOENT)
        return outcome::failed(shown + ": " + std::strerror(errno));
    // What was acknowledged stays so over a power cut.
    if (::fsync(parent->get()) != 0 && errno != EINVAL)
        return {outcome_kind::unknown,
                shown + ": removed, not yet on disk: " + std::strerror(errno)};
    struct stat again {};
    if (::fstatat(parent->get(), name.c_str(), &again, AT_SYMLINK_NOFOLLOW) == 0)
        return outcome::failed(shown + ": somebody has made it anew");
    if (errno != ENOENT) return outcome::failed(shown + ": " + std::strerror(errno));
    auto said = shown + ": " + kind + " removed (inode " + std::to_string(found.st_ino) + ")";
    if (found.st_nlink > 1) said += "; it had " + counted(found.st_nlink - 1, "other name");
    return outcome::done(said);
}

}  // namespace

handler file_handler(removed_file o) {
    if (o.directory.empty() || o.directory.front() != '/')
        throw setup_error("the directory of a file handler must be an absolute path");
    if (o.path.empty()) throw setup_error("the path of a file handler is empty");
    return [o = std::move(o)](const task& t) -> outcome {
        if (!takes_away(t.why)) return outcome::done("nothing to do");
        try {
            return remove(o, o.path.fill(t));
        } catch (const unfit_value& e) {
            return outcome::failed(e.what());
        }
    };
}

}  // namespace mission_signals
