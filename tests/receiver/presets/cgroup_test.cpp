// With the real thing where cgroup2 is mounted and may be written. A double stands in where the
// kernel cannot be asked: for kernels without cgroup.kill, and for what is no cgroup at all.
#include <signal.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <optional>
#include <thread>

#include "tests/receiver/presets/sample.hpp"
#include "tests/receiver/wait.hpp"

using namespace mission_signals;
using mission::test::eventually;
namespace fs = std::filesystem;

namespace {

std::string read(const std::string& file) {
    std::ifstream in(file);
    return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

void write(const std::string& file, const std::string& text) {
    std::ofstream(file) << text;
}

// Where cgroup2 is mounted: by itself or beside the old hierarchies.
std::optional<std::string> mounted() {
    for (const std::string at : {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"}) {
        struct statfs s {};
        constexpr auto cgroup2_magic = 0x63677270;
        if (::statfs(at.c_str(), &s) == 0 && s.f_type == cgroup2_magic) return at;
    }
    return std::nullopt;
}

char state_of(int pid) {
    const auto text = read("/proc/" + std::to_string(pid) + "/stat");
    const auto end = text.rfind(')');
    return end == std::string::npos ? '-' : text[end + 2];
}

int waiting_process() {
    const int pid = ::fork();
    if (pid == 0)
        for (;;)
            ::pause();
    return pid;
}

// A cgroup with one below it, a process in each; one has left its process group.
struct real_cgroup {
    std::string root, name = "mission-test-" + std::to_string(::getpid());
    int outer = 0, inner = 0;
    explicit real_cgroup(const std::string& at) : root(at) {
        fs::create_directory(dir());
        fs::create_directory(dir() + "/inner");
        outer = waiting_process();
        inner = waiting_process();
        write(dir() + "/cgroup.procs", std::to_string(outer));
        write(dir() + "/inner/cgroup.procs", std::to_string(inner));
        REQUIRE(has(read(dir() + "/cgroup.procs"), std::to_string(outer)));
    }
    ~real_cgroup() {
        for (const int pid : {outer, inner}) {
            ::kill(pid, SIGKILL);
            ::waitpid(pid, nullptr, 0);
        }
        std::error_code ignored;
        eventually([&] {
            return !fs::exists(dir() + "/inner") || ::rmdir((dir() + "/inner").c_str()) == 0;
        });
        eventually([&] { return !fs::exists(dir()) || ::rmdir(dir().c_str()) == 0; });
    }
    std::string dir() const { return root + "/" + name; }
    outcome run(effect why, bool remove = false) const {
        return cgroup_handler({.root = root, .remove = remove})(task_of(name, why));
    }
};

// A directory that looks like a cgroup to whoever reads and writes files.
struct double_cgroup {
    mission::test::temp_dir folder;
    std::string root = folder / "cgroups", dir = root + "/g";
    explicit double_cgroup(int pid) {
        fs::create_directories(dir);
        write(dir + "/cgroup.procs", std::to_string(pid) + "\n");
        write(dir + "/cgroup.events", "populated 1\nfrozen 0\n");
    }
    handler made(std::chrono::milliseconds timeout = std::chrono::seconds(10)) const {
        return cgroup_handler({.root = root, .timeout = timeout});
    }
};

}  // namespace

TEST_CASE("a cgroup is frozen, thawed and killed with everything in it") {
    const auto at = mounted();
    if (!at) {
        MESSAGE("cgroup2 is not mounted here: this test is not run");
        return;
    }
    real_cgroup g(*at);
    auto said = g.run(effect::suspended);
    CHECK(done(said));
    CHECK(has(said.evidence, "frozen, 2 process(es), cgroup.events says frozen 1"));
    CHECK(has(read(g.dir() + "/cgroup.events"), "frozen 1"));
    CHECK(done(g.run(effect::stale)));  // again
    said = g.run(effect::resumed);
    CHECK(done(said));
    CHECK(has(read(g.dir() + "/cgroup.events"), "frozen 0"));
    CHECK(done(g.run(effect::scope_changed)));
    CHECK(eventually([&] { return state_of(g.inner) == 'S'; }));

    CHECK(done(g.run(effect::suspended)));  // frozen ones die, too
    said = g.run(effect::revoked);
    CHECK(done(said));
    CHECK(has(said.evidence, "2 killed by cgroup.kill, none left: cgroup.events says populated 0"));
    for (const int pid : {g.outer, g.inner})
        CHECK(eventually([&] { return state_of(pid) == 'Z'; }));
    CHECK(done(g.run(effect::revoked)));  // again
}

TEST_CASE("an empty cgroup is removed where that is asked for, and is then not there") {
    const auto at = mounted();
    if (!at) {
        MESSAGE("cgroup2 is not mounted here: this test is not run");
        return;
    }
    real_cgroup g(*at);
    auto said = g.run(effect::completed, true);
    CHECK(done(said));
    CHECK(has(said.evidence, "; removed"));
    CHECK_FALSE(fs::exists(g.dir()));
    said = g.run(effect::completed, true);
    CHECK(done(said));
    CHECK(has(said.evidence, "not there"));
    CHECK(done(g.run(effect::stale)));
}

TEST_CASE("the cgroup of the host itself is refused") {
    const auto at = mounted();
    if (!at) {
        MESSAGE("cgroup2 is not mounted here: this test is not run");
        return;
    }
    real_cgroup g(*at);
    const auto before = read("/proc/self/cgroup");
    const auto own = before.substr(before.rfind("0::") + 3);
    write(g.dir() + "/cgroup.procs", std::to_string(::getpid()));
    REQUIRE(has(read("/proc/self/cgroup"), g.name));
    for (const auto why : {effect::revoked, effect::suspended})
        CHECK(has(g.run(why).evidence, "holds the host itself: refused"));
    write(*at + own.substr(0, own.find('\n')) + "/cgroup.procs", std::to_string(::getpid()));
    CHECK_FALSE(has(read("/proc/self/cgroup"), g.name));
}

TEST_CASE("without cgroup.kill each process is killed until none is left (with a double)") {
    const int pid = waiting_process();
    double_cgroup g(pid);
    outcome said;
    std::thread runs([&] { said = g.made()(task_of("g")); });
    // What the kernel would say once the process has gone.
    REQUIRE(::waitpid(pid, nullptr, 0) == pid);
    write(g.dir + "/cgroup.procs", "");
    write(g.dir + "/next", "populated 0\nfrozen 0\n");
    fs::rename(g.dir + "/next", g.dir + "/cgroup.events");
    runs.join();
    CHECK(done(said));
    CHECK(has(said.evidence, "1 killed by SIGKILL to each, none left"));
}

TEST_CASE("what is not seen to be gone in time is not acknowledged (with a double)") {
    double_cgroup g(0);
    write(g.dir + "/cgroup.kill", "");
    write(g.dir + "/cgroup.freeze", "");
    const auto soon = g.made(std::chrono::milliseconds(30));
    auto said = soon(task_of("g"));
    CHECK(said.kind == outcome_kind::timed_out);
    CHECK(has(said.evidence, "still populated"));
    CHECK(read(g.dir + "/cgroup.kill") == "1");
    said = soon(task_of("g", effect::suspended));
    CHECK(said.kind == outcome_kind::timed_out);
    CHECK(has(said.evidence, "not frozen in time"));
    CHECK(read(g.dir + "/cgroup.freeze") == "1");
}

TEST_CASE("a path stays below the root, and a plain directory is no cgroup (with a double)") {
    double_cgroup g(0);
    fs::create_directories(g.root + "/plain");
    fs::create_directory_symlink(g.dir, g.root + "/link");
    CHECK(has(g.made()(task_of("plain")).evidence, "is no cgroup"));
    CHECK(failed(g.made()(task_of("plain"))));
    CHECK(has(g.made()(task_of("link")).evidence, "symbolic link is not followed"));
    for (const auto* path : {"", ".", "..", "/", "../cgroups/g", "g/.", "g//x"})
        CHECK(failed(g.made()(task_of(path))));
    CHECK(done(g.made()(task_of("not-there"))));
    CHECK(failed(cgroup_handler({.root = g.root + "-not-mounted"})(task_of("g"))));
    CHECK_THROWS_AS((void)cgroup_handler({.root = "relative"}), setup_error);
}
