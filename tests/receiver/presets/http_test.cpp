#include <atomic>
#include <fstream>

#include "jose/base64url.hpp"
#include "tests/net/support.hpp"
#include "tests/receiver/presets/sample.hpp"
#include "tests/receiver/wait.hpp"

using namespace mission_signals;
namespace net = mission::net;
using net::test::served;
using std::chrono::milliseconds;

namespace {

// A server that answers from a list, the last one again and again, and keeps what it was asked.
struct peer {
    struct answer {
        int status = 200;
        std::string body;
        std::vector<std::pair<std::string, std::string>> fields;
    };
    std::vector<answer> answers{{200, "", {}}};
    std::mutex m;
    std::vector<net::http_request> seen;
    served server;

    explicit peer(net::server_options o = net::test::plain_options())
        : server(std::move(o), [this](net::http_request r, net::responder respond) {
              net::http_response out;
              {
                  const std::lock_guard lock(m);
                  const auto& a = answers[std::min(seen.size(), answers.size() - 1)];
                  out.status = a.status;
                  out.body = a.body;
                  for (const auto& [name, value] : a.fields)
                      out.fields.add(name, value);
                  seen.push_back(std::move(r));
              }
              respond(std::move(out));
          }) {}
    std::vector<net::http_request> requests() {
        const std::lock_guard lock(m);
        return seen;
    }
    http_action action(http_step step) const {
        if (step.url.find("://") == std::string::npos) step.url = server.url(step.url);
        http_action a;
        a.steps.push_back(std::move(step));
        a.look_again = milliseconds(2);
        a.timeout = std::chrono::seconds(10);
        return a;
    }
    outcome run(http_step step, const task& t) { return http_handler(action(std::move(step)))(t); }
};

http_step step(std::string method, std::string url) {
    http_step s;
    s.method = std::move(method);
    s.url = std::move(url);
    return s;
}

}  // namespace

TEST_CASE("a request is made of the task's values, each where it belongs and nothing else") {
    peer p;
    auto s = step("PATCH", "/leases/{name}?of={data.lease}&v={version}");
    s.headers = {{"X-Mission", "{mission_id}"}};
    s.json =
        R"({"why":"{effect}","lease":"{data.lease}","list":["{name}",1,true,null],"b":"{{}}"})";
    const auto said = p.run(s, task_of(R"({"lease":"a/b\"} &x=1"})"));
    CHECK(done(said));
    const auto r = p.requests().at(0);
    CHECK(r.method == "PATCH");
    CHECK(r.path == "/leases/db");
    CHECK(r.query == "of=a%2Fb%22%7D%20%26x%3D1&v=7");
    CHECK(r.fields.get("x-mission") == "mission-0123456789abcdef01");
    CHECK(r.fields.get("idempotency-key") == "key-1");
    CHECK(r.fields.get("content-type") == "application/json");
    CHECK(r.body ==
          R"({"why":"revoked","lease":"a/b\"} &x=1","list":["db",1,true,null],"b":"{}"})");
    // What is held is not in the evidence; what was asked and answered is.
    CHECK(has(said.evidence, "PATCH " + p.server.url("/leases/db?of={data.lease}&v=7: 200")));
}

TEST_CASE("a form is encoded, and a path may keep its slashes") {
    peer p;
    auto s = step("POST", "/v1/{+data}/end");
    s.form = {{"lease", "{data}"}, {"a b", "&"}};
    CHECK(done(p.run(s, task_of("db/creds/x y"))));
    CHECK(p.requests().at(0).path == "/v1/db/creds/x%20y/end");
    CHECK(p.requests().at(0).body == "lease=db%2Fcreds%2Fx%20y&a%20b=%26");
    CHECK(p.requests().at(0).fields.get("content-type") == "application/x-www-form-urlencoded");
}

TEST_CASE("a hostile value is refused before anything is sent") {
    peer p;
    const auto url = step("DELETE", "/users/{data}");
    auto whole = step("DELETE", "/users/{+data}");
    auto header = step("DELETE", "/users");
    header.headers = {{"X-User", "{data}"}};
    for (const std::string data :
         {"", ".", "..", "../admin", "a/../../b", "a\\..\\b", "a\r\nX: y", "a\nb", "\x7f"}) {
        INFO(data);
        CHECK(failed(p.run(url, task_of(data))));
        CHECK(failed(p.run(whole, task_of(data))));
    }
    CHECK(failed(p.run(whole, task_of("a//b"))));
    CHECK(failed(p.run(whole, task_of("/a"))));
    CHECK(failed(p.run(step("DELETE", "/users/.{data}"), task_of("."))));
    for (const auto& data : {std::string("a\r\nX: y"), std::string("a\nb"), std::string("a\0b", 3)})
        CHECK(failed(p.run(header, task_of(data))));
    auto body = step("POST", "/users");
    body.json = R"({"a":"{data}"})";
    CHECK(failed(p.run(body, task_of("\xff\xfe"))));
    CHECK(p.requests().empty());
    // What only looks like it goes as a value.
    CHECK(done(p.run(url, task_of("@evil.example:80/#?x=%2e%2e"))));
    CHECK(p.requests().at(0).path == "/users/%40evil.example%3A80%2F%23%3Fx%3D%252e%252e");
}

TEST_CASE("scheme, host and port are fixed when the action is made") {
    const auto refused = [](http_step s, bool plain = true) {
        http_action a;
        a.plain_http = plain;
        a.steps.push_back(std::move(s));
        CHECK_THROWS_AS((void)http_handler(a), setup_error);
    };
    for (const auto* url :
         {"https://{data}/x", "{data}", "https://a.example{data}", "https://a.example:{data}/x",
          "ftp://a.example/", "https://u@a.example/{data}", "https:///x", ""})
        refused(step("GET", url));
    refused(step("GET", "http://a.example/{data}"), false);
    refused(step("G T", "https://a.example/"));
    auto s = step("POST", "https://a.example/");
    s.headers = {{"Host", "b.example"}};
    refused(s);
    s.headers = {{"a b", "c"}};
    refused(s);
    s.headers.clear();
    s.json = "{";
    refused(s);
    s.json = R"({"a":"{nobody}"})";
    refused(s);
    s.json = "{}";
    s.form = {{"a", "b"}};
    refused(s);
    s = step("GET", "https://a.example/");
    s.look = true;
    refused(s);  // at what?
    s.equals = "1";
    s.pointer = "a";
    refused(s);
    http_action none;
    CHECK_THROWS_AS((void)http_handler(none), setup_error);
}

TEST_CASE("what the server says decides, and its words are kept without secrets") {
    peer p;
    auto s = step("DELETE", "/x/{data}");
    s.gone = {404, 410};
    p.answers = {{404, "", {}}};
    auto said = p.run(s, task_of("lease-123456"));
    CHECK(done(said));
    CHECK(has(said.evidence, "404, gone"));

    p.answers = {{403, R"({"error":"denied","error_description":"lease-123456 and to-ken!"})", {}}};
    auto a = p.action(s);
    a.token.text = "to-ken!";
    said = http_handler(a)(task_of("lease-123456"));
    CHECK(failed(said));
    CHECK(has(said.evidence, "403: denied, [left out] and [left out]"));
    CHECK(p.requests().back().fields.get("authorization") == "Bearer to-ken!");

    p.answers = {{302, "", {{"location", "/elsewhere"}}}};
    CHECK(has(p.run(s, task_of("a")).evidence, "redirects are not followed"));
    CHECK(failed(p.run(s, task_of("a"))));
    s.expect = {202};
    p.answers = {{200, "", {}}};
    CHECK(failed(p.run(s, task_of("a"))));
    CHECK(p.requests().size() == 5);
}

TEST_CASE("a secret in a file is read at each run") {
    mission::test::temp_dir folder;
    const auto file = folder / "token";
    std::ofstream(file) << "one\n";
    peer p;
    auto s = step("POST", "/");
    s.secret_headers = {{"X-Vault-Token", secret{{}, file}}};
    auto a = p.action(s);
    a.user = "operator";
    a.password.file = file;
    const auto run = http_handler(a);
    CHECK(done(run(task_of(""))));
    std::ofstream(file) << "two\n";
    CHECK(done(run(task_of(""))));
    CHECK(p.requests().at(0).fields.get("x-vault-token") == "one");
    CHECK(p.requests().at(1).fields.get("x-vault-token") == "two");
    CHECK(p.requests().at(1).fields.get("authorization") ==
          "Basic " + mission::jose::base64_encode("operator:two"));
    std::filesystem::remove(file);
    const auto said = run(task_of(""));
    CHECK(failed(said));
    CHECK(has(said.evidence, "cannot be read"));
    CHECK(p.requests().size() == 2);
}

TEST_CASE("steps run in their order, for their effects, and end at the first that fails") {
    peer p;
    auto a = p.action(step("POST", "/pause"));
    a.steps[0].on = {effect::suspended};
    for (const auto* path : {"/first", "/second"}) {
        a.steps.push_back(step("POST", p.server.url(path)));
        a.steps.back().on = {effect::revoked, effect::completed};
    }
    const auto run = http_handler(a);
    CHECK(done(run(task_of("", effect::suspended))));
    CHECK(done(run(task_of(""))));
    CHECK(p.requests().at(0).path == "/pause");
    CHECK(p.requests().at(1).path == "/first");
    CHECK(p.requests().at(2).path == "/second");
    CHECK(failed(run(task_of("", effect::resumed))));  // nobody's
    p.answers = {{500, "", {}}};
    CHECK(failed(run(task_of(""))));
    CHECK(p.requests().size() == 4);
}

TEST_CASE("a look goes on until it sees what it looks for") {
    peer p;
    p.answers = {{202, "", {}},   {200, R"({"status":{"active":1}})", {}},
                 {503, "", {}},   {200, "no json", {}},
                 {200, "{}", {}}, {200, R"({"status":{"active":0}})", {}}};
    auto a = p.action(step("DELETE", "/job/{name}"));
    auto look = step("GET", p.server.url("/job/{name}"));
    look.look = true;
    look.gone = {404};
    look.pointer = "/status/active";
    look.equals = "0";
    a.steps.push_back(look);
    auto said = http_handler(a)(task_of(""));
    CHECK(done(said));
    CHECK(has(said.evidence, "/job/db: 202; GET "));
    CHECK(has(said.evidence, ": 200, /status/active = 0, at look 5"));
    CHECK(p.requests().at(1).fields.get("idempotency-key").empty());

    p.answers = {{404, "", {}}};
    a.steps.erase(a.steps.begin());
    said = http_handler(a)(task_of(""));
    CHECK(done(said));
    CHECK(has(said.evidence, ": 404, at look 1"));

    p.answers = {{200, R"({"status":{"active":1}})", {}}};
    a.timeout = milliseconds(700);
    said = http_handler(a)(task_of(""));
    CHECK(said.kind == outcome_kind::timed_out);
    CHECK(has(said.evidence, "/status/active is not 0, after "));

    p.answers = {{401, "", {}}};  // it will not get better
    a.timeout = std::chrono::seconds(10);
    CHECK(failed(http_handler(a)(task_of(""))));
}

TEST_CASE("a look may be for what is no longer there, but not for nothing") {
    peer p;
    p.answers = {
        {200, "{}", {}}, {200, R"({"s":"RUNNING"})", {}}, {200, R"({"s":"TERMINATED"})", {}}};
    auto look = step("GET", "/w");
    look.look = true;
    look.pointer = "/s";
    look.differs = R"("RUNNING")";
    const auto said = p.run(look, task_of(""));
    CHECK(done(said));
    CHECK(has(said.evidence, "/s is not \"RUNNING\", at look 3"));
    look.equals = "1";
    CHECK_THROWS_AS((void)http_handler(p.action(look)), setup_error);
}

TEST_CASE("Retry-After is honoured within the time there is, and remembered beyond it") {
    peer p;
    p.answers = {{503, "", {{"retry-after", "1"}}}, {200, "", {}}};
    CHECK(done(p.run(step("POST", "/"), task_of(""))));
    CHECK(p.requests().size() == 2);

    peer q;
    q.answers = {{429, "", {{"retry-after", "60"}}}};
    auto a = q.action(step("POST", "/"));
    const auto run = http_handler(a);
    for (int i = 0; i < 3; ++i) {
        const auto said = run(task_of(""));
        CHECK(failed(said));
        CHECK(has(said.evidence, "asked to be left alone"));
    }
    CHECK(q.requests().size() == 1);
}

TEST_CASE("a connection that dies after the request leaves it unknown") {
    net::test::raw_server dead([](int fd, int) { (void)net::test::read_request(fd); });
    http_action a;
    a.steps.push_back(step("POST", dead.url("/{data}")));
    auto said = http_handler(a)(task_of("held-thing"));
    CHECK(said.kind == outcome_kind::unknown);
    CHECK_FALSE(has(said.evidence, "held-thing"));

    net::test::raw_server silent([](int fd, int) {
        (void)net::test::read_request(fd);
        char c;
        (void)!::read(fd, &c, 1);  // until the client gives up
    });
    a.steps[0].url = silent.url("/{data}");
    a.timeout = milliseconds(700);
    said = http_handler(a)(task_of("held-thing"));
    CHECK(said.kind == outcome_kind::timed_out);
    CHECK_FALSE(has(said.evidence, "held-thing"));

    a.steps[0].url = "http://127.0.0.1:1/{data}";
    CHECK(failed(http_handler(a)(task_of("held-thing"))));
}

TEST_CASE("a host that stops is not waited for") {
    peer p;
    p.answers = {{200, "1", {}}};
    auto look = step("GET", "/");
    look.look = true;
    look.equals = "2";
    auto a = p.action(look);
    std::atomic<int> asked{0};
    a.stopping = [&] { return ++asked > 3; };
    const auto said = http_handler(a)(task_of(""));
    CHECK(said.kind == outcome_kind::unknown);
    CHECK(has(said.evidence, "the host stops"));
}

TEST_CASE("the server's certificate is verified, and ours is shown") {
    mission::test::temp_dir folder;
    std::ofstream(folder / "ca.pem") << net::test::certificate().ca_pem;
    std::ofstream(folder / "cert.pem") << net::test::certificate().certificate_pem;
    std::ofstream(folder / "key.pem") << net::test::certificate().private_key_pem;
    auto o = net::test::tls_options();
    o.accept_any_client_certificate = true;
    peer p(o);
    auto a = p.action(step("POST", "/"));
    CHECK(failed(http_handler(a)(task_of(""))));
    CHECK(p.requests().empty());
    a.ca_file = folder / "ca.pem";
    a.certificate_file = folder / "cert.pem";
    a.certificate_key_file = folder / "key.pem";
    CHECK(done(http_handler(a)(task_of(""))));
    CHECK_FALSE(p.requests().at(0).peer.certificate_der.empty());
    a.ca_file = folder / "none.pem";
    CHECK_THROWS_AS((void)http_handler(a), setup_error);
}
