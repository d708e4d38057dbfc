#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "tests/receiver/presets/sample.hpp"
#include "tests/receiver/wait.hpp"

using namespace mission_signals;
namespace fs = std::filesystem;

namespace {

struct tree {
    mission::test::temp_dir folder;
    std::string root = folder / "root", outside = folder / "outside";
    tree() {
        fs::create_directories(root + "/a/b");
        write(outside, "keep");
    }
    static void write(const std::string& path, const std::string& text) {
        std::ofstream(path) << text;
    }
    outcome remove(const std::string& path, effect why = effect::revoked) const {
        return file_handler({.directory = root})(task_of(path, why));
    }
};

void bind_socket(const std::string& path) {
    const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
    sockaddr_un a{};
    a.sun_family = AF_UNIX;
    path.copy(a.sun_path, sizeof a.sun_path - 1);
    REQUIRE(::bind(fd, reinterpret_cast<const sockaddr*>(&a), sizeof a) == 0);
    ::close(fd);
}

}  // namespace

TEST_CASE("a file and a socket are removed, and a second run acknowledges") {
    tree t;
    t.write(t.root + "/a/b/key", "secret");
    auto said = t.remove("a/b/key");
    CHECK(done(said));
    CHECK(has(said.evidence, "/a/b/key: file removed (inode "));
    CHECK_FALSE(fs::exists(t.root + "/a/b/key"));
    said = t.remove("a/b/key");
    CHECK(done(said));
    CHECK(has(said.evidence, "not there"));
    CHECK(done(t.remove("no/such/folder")));

    bind_socket(t.root + "/s");
    said = t.remove("s", effect::suspended);
    CHECK(done(said));
    CHECK(has(said.evidence, "socket removed"));
    CHECK_FALSE(fs::exists(t.root + "/s"));
}

TEST_CASE("another name of the same file is told") {
    tree t;
    t.write(t.root + "/one", "x");
    fs::create_hard_link(t.root + "/one", t.root + "/two");
    CHECK(has(t.remove("one").evidence, "it had 1 other name"));
}

TEST_CASE("nothing outside of the directory is touched") {
    tree t;
    fs::create_symlink(t.outside, t.root + "/link");
    fs::create_directory_symlink(fs::path(t.root).parent_path(), t.root + "/up");
    for (const std::string path :
         {"../outside", "a/../../outside", "/etc/hostname", "", ".", "a//b", "a/", "./outside"}) {
        const auto said = t.remove(path);
        INFO(path);
        CHECK(failed(said));
        CHECK(has(said.evidence, "refused"));
    }
    CHECK(failed(t.remove(std::string("a\0b", 3))));
    CHECK(failed(t.remove("link")));
    CHECK(has(t.remove("link").evidence, "symbolic link"));
    CHECK(failed(t.remove("up/outside")));
    CHECK(has(t.remove("up/outside").evidence, "symbolic link is not followed"));
    CHECK(fs::exists(t.outside));
    CHECK(fs::is_symlink(t.root + "/link"));
}

TEST_CASE("directories and pipes are refused") {
    tree t;
    REQUIRE(::mkfifo((t.root + "/pipe").c_str(), 0600) == 0);
    CHECK(has(t.remove("a").evidence, "is a directory: refused"));
    CHECK(has(t.remove("pipe").evidence, "is a device or pipe: refused"));
    CHECK(fs::exists(t.root + "/pipe"));
}

TEST_CASE("a directory that is not there is no evidence that the file is gone") {
    tree t;
    t.root += "-not-mounted";
    CHECK(failed(t.remove("key")));
    CHECK_THROWS_AS((void)file_handler({.directory = "relative"}), setup_error);
}

TEST_CASE("what cannot be undone is not done because nothing was heard") {
    tree t;
    t.write(t.root + "/key", "x");
    for (const auto why : {effect::stale, effect::fresh, effect::resumed, effect::scope_changed})
        CHECK(t.remove("key", why).evidence == "nothing to do");
    CHECK(fs::exists(t.root + "/key"));
}
