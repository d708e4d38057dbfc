#include "receiver/program/control.hpp"

#include <doctest/doctest.h>

#include <set>

#include "base/json.hpp"
#include "net/runtime.hpp"
#include "net/server.hpp"
#include "scratch.hpp"

using namespace mission;
using namespace mission::receiver::program;
namespace ms = mission_signals;

namespace {

const std::string known = "mis_0123456789012345678901";

// Knows one mission, which is active; remembers what it was told.
class fake_receiver final : public ms::receiver, public ms::mission_cache {
  public:
    std::vector<held_thing> things;
    std::set<std::string> open_tasks{"k-1"};
    bool resolved = false;

    void on_effect(ms::handler_options, ms::handler) override {}
    void on_change(std::function<void(const ms::mission_view&, ms::effect)>) override {}
    void on_task(std::function<void(const ms::task_view&)>) override {}
    std::vector<ms::handler_status> handlers() const override { return {}; }
    void on_event(std::string, std::vector<std::string>, ms::event_handler) override {}
    void start() override {}
    bool wait_live(std::chrono::milliseconds) override { return true; }
    void stop() override {}
    ms::mission_cache& missions() noexcept override { return *this; }
    bool hold(std::string_view id, std::string_view name, std::string_view data) override {
        if (!check(id).permitted()) return false;
        things.push_back({std::string(id), std::string(name), std::string(data)});
        return true;
    }
    void release(std::string_view, std::string_view name) override {
        std::erase_if(things, [&](const auto& h) { return h.name == name; });
    }
    std::vector<held_thing> held(std::string_view) const override { return things; }
    std::vector<ms::task_view> tasks(bool unfinished_only) const override {
        std::vector<ms::task_view> out;
        for (const auto& key : open_tasks) {
            ms::task_view v;
            v.what.idempotency_key = key;
            v.evidence = "a\"\n\xc3\xa4";
            out.push_back(v);
        }
        if (!unfinished_only) {
            out.push_back({});
            out.back().finished = true;
        }
        return out;
    }
    bool retry_task(std::string_view key) override {
        return open_tasks.count(std::string(key)) != 0;
    }
    void handle_push(ms::push_request, std::function<void(ms::push_response)>) override {}
    std::uint16_t push_port() const noexcept override { return 0; }
    ms::status current_status() const override {
        ms::status s;
        s.streaming = true;
        s.stream_id = "s-1";
        return s;
    }
    std::string last_setup_problem() const override { return "plain token"; }

    ms::answer check(std::string_view id) const noexcept override {
        return id == known ? ms::answer{ms::standing::active, 3} : ms::answer{};
    }
    ms::answer check(std::string_view, std::string_view id) const noexcept override {
        return check(id);
    }
    void resolve(std::string_view id, std::function<void(ms::answer)> done, bool) override {
        resolved = true;
        done(check(id));
    }
    ms::answer resolve(std::string_view id, std::chrono::milliseconds) override {
        return check(id);
    }
    std::shared_ptr<const ms::authority> authority_of(std::string_view) const override {
        return nullptr;
    }
    std::pair<ms::answer, std::shared_ptr<const ms::authority>> look(
        std::string_view id) const override {
        return {check(id), nullptr};
    }
    std::optional<ms::mission_view> view(std::string_view id) const override {
        if (id != known) return std::nullopt;
        ms::mission_view v;
        v.id = known;
        v.state = "active";
        v.now = check(id);
        return v;
    }
    std::vector<ms::mission_view> list(std::size_t) const override { return {*view(known)}; }
    std::size_t size() const noexcept override { return 1; }
};

// The control server of one test, on a socket of its own.
struct served {
    scratch dir;
    fake_receiver rx;
    std::unique_ptr<net::runtime> rt = net::make_runtime(1, 1);
    std::unique_ptr<net::http_handler> handler = make_control_handler(rx, *rt);
    std::unique_ptr<net::http_server> server;
    std::string path = dir.at("s");

    served() {
        net::server_options o;
        o.address = "unix:" + path;
        o.mode = net::transport::plain;
        auto made = net::make_http_server(*rt, o, *handler);
        REQUIRE(made.has_value());
        server = std::move(*made);
    }
    ~served() {
        server.reset();
        rt->stop();
    }
    control_answer ask(const std::string& method, const std::string& target,
                       const std::string& body = {}) const {
        auto a = ask_control(path, method, target, body);
        if (!a) FAIL(a.error().message());
        return *a;
    }
    json::document json_of(const std::string& target) const {
        const auto a = ask("GET", target);
        REQUIRE(a.status == 200);
        auto parsed = json::parse(a.body);
        REQUIRE(parsed.has_value());
        return std::move(*parsed);
    }
};

}  // namespace

TEST_CASE("a mission is permitted only when the receiver says so") {
    served s;
    CHECK(json::find_bool(s.json_of("/missions/" + known), "permitted") == true);
    CHECK(json::find_string(s.json_of("/missions/" + known), "state") == "active");
    const auto unknown = s.json_of("/missions/mis_nobody");
    CHECK(json::find_bool(unknown, "permitted") == false);
    CHECK(json::find_string(unknown, "standing") == "unknown");
    CHECK_FALSE(s.rx.resolved);
    CHECK(json::find_bool(s.json_of("/missions/" + known + "?resolve=1"), "permitted") == true);
    CHECK(s.rx.resolved);
}

TEST_CASE("a hold is recorded, refused for a mission that is not permitted, and released") {
    served s;
    const auto body = [](const std::string& id) {
        return R"({"mission_id":")" + id + R"(","name":"db","data":"x"})";
    };
    CHECK(s.ask("POST", "/holds", body(known)).status == 201);
    CHECK(s.ask("POST", "/holds", body("mis_nobody")).status == 409);
    REQUIRE(s.rx.things.size() == 1);
    CHECK(s.rx.things[0].data == "x");
    CHECK(s.json_of("/holds").Size() == 1);
    CHECK(s.ask("DELETE", "/holds?mission_id=" + known + "&name=db").status == 204);
    CHECK(s.rx.things.empty());
}

TEST_CASE("tasks are listed, and retried by their key") {
    served s;
    const auto open = s.json_of("/tasks");
    REQUIRE(open.Size() == 1);
    CHECK(json::find_string(open[0], "state") == "open");
    CHECK(json::find_string(open[0], "evidence") == "a\"\n\xc3\xa4");
    CHECK(s.json_of("/tasks?all=1").Size() == 2);
    CHECK(s.ask("POST", "/tasks/retry", R"({"key":"k-1"})").status == 200);
    CHECK(s.ask("POST", "/tasks/retry", R"({"key":"k-2"})").status == 404);
}

TEST_CASE("the status says whether the stream lives, and why not") {
    served s;
    const auto now = s.json_of("/status");
    CHECK(json::find_bool(now, "streaming") == true);
    CHECK(json::find_string(now, "problem") == "plain token");
}

TEST_CASE("rubbish is refused and changes nothing") {
    served s;
    for (const char* body :
         {"", "{", "[]", "5", R"({"mission_id":5,"name":"n"})", R"({"mission_id":"m"})",
          R"({"mission_id":"m","name":""})", R"({"mission_id":"m","name":"n","data":{}})",
          R"({"mission_id":"m","mission_id":"m","name":"n"})"})
        CHECK(s.ask("POST", "/holds", body).status == 400);
    CHECK(s.ask("POST", "/tasks/retry", R"({"key":1})").status == 400);
    CHECK(s.ask("DELETE", "/holds?mission_id=m").status == 400);
    CHECK(s.ask("GET", "/holds?a=%").status == 400);
    CHECK(s.ask("PUT", "/holds", "{}").status == 404);
    CHECK(s.ask("GET", "/elsewhere").status == 404);
    CHECK(s.rx.things.empty());
}

TEST_CASE("nobody listening is told apart from a refusal") {
    const scratch dir;
    CHECK(ask_control(dir.at("none"), "GET", "/status").error() == errc::not_found);
    CHECK(ask_control({}, "GET", "/status").error() == errc::not_found);
    CHECK(ask_control(std::string(300, 'x'), "GET", "/status").error() == errc::not_found);
}
