#include <doctest/doctest.h>

#include <map>

#include "support.hpp"

using namespace mission;
using namespace mission::net;
using namespace mission::net::test;

namespace {

bool allowed(const egress_policy& p, std::string_view address, std::string_view host = "h.example",
             std::uint16_t port = 443) {
    return p.check(host, port, address).has_value();
}

// Lets nothing out of this machine, and remembers what was about to be connected to.
class counting_connector final : public connector {
  public:
    result<void> before_connect(std::string_view address, std::uint16_t) override {
        const std::lock_guard lock(mutex_);
        seen_.emplace_back(address);
        if (address == "127.0.0.1") return {};
        return error{errc::connect_failed, "stopped by the test"};
    }
    std::vector<std::string> seen() {
        const std::lock_guard lock(mutex_);
        return seen_;
    }

  private:
    std::mutex mutex_;
    std::vector<std::string> seen_;
};

// Answers each name with one list after the other; the last one stays.
class scripted_resolver final : public resolver {
  public:
    std::map<std::string, std::vector<std::vector<std::string>>> answers;
    result<std::vector<std::string>> resolve(const std::string& host) override {
        const std::lock_guard lock(mutex_);
        const auto it = answers.find(host);
        if (it == answers.end()) return error{errc::resolve_failed, "no such name"};
        auto now = it->second.front();
        if (it->second.size() > 1) it->second.erase(it->second.begin());
        return now;
    }

  private:
    std::mutex mutex_;
};

struct guarded {
    explicit guarded(std::vector<std::string> allow = {}, bool real_names = false) {
        auto options = trusting();
        options.egress = std::make_shared<egress_policy>(egress_policy::parse(allow).value());
        options.connects = connects;
        if (!real_names) options.names = names;
        client = make_http_client(*rt, options).value();
    }
    ~guarded() { client->stop(); }
    std::unique_ptr<runtime> rt = make_runtime(1, 1);
    std::shared_ptr<counting_connector> connects = std::make_shared<counting_connector>();
    std::shared_ptr<scripted_resolver> names = std::make_shared<scripted_resolver>();
    std::unique_ptr<http_client> client;
};

}  // namespace

TEST_CASE("public addresses are allowed") {
    const auto p = egress_policy::parse({}).value();
    for (const char* a :
         {"8.8.8.8", "1.1.1.1", "172.32.0.1", "100.128.0.1", "192.169.0.1", "2606:4700::1111",
          "2a00:1450::1", "64:ff9b::808:808", "2002:808:808::1", "::ffff:8.8.8.8"}) {
        CAPTURE(a);
        CHECK(allowed(p, a));
    }
}

TEST_CASE("every special network is refused, in every spelling") {
    const auto p = egress_policy::parse({}).value();
    for (const char* a :
         {"127.0.0.1", "127.255.255.255", "0.0.0.0", "0.1.2.3", "10.0.0.1", "172.16.0.1",
          "172.31.255.255", "192.168.1.1", "169.254.169.254", "100.64.0.1", "100.127.255.255",
          "192.0.0.1", "192.0.2.1", "198.18.0.1", "198.19.255.255", "198.51.100.1", "203.0.113.1",
          "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255", "192.88.99.1",
          // IPv6
          "::", "::1", "fe80::1", "febf::1", "fec0::1", "fc00::1", "fd12::1", "ff02::1",
          "2001:db8::1", "2001::1", "2001:10::1", "100::1", "3fff::1", "4000::1", "5f00::1",
          // the same in disguise
          "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:a9fe:a9fe", "::127.0.0.1", "::8.8.8.8",
          "::ffff:0:127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::10.0.0.1", "64:ff9b:1::1",
          "2002:7f00:1::", "2002:a00:1::1", "2002:c0a8:101::1", "2a00:1450::5efe:10.0.0.1",
          "2a00:1450::200:5efe:10.0.0.1"}) {
        CAPTURE(a);
        CHECK(p.check("h.example", 443, a).error() == errc::address_refused);
    }
}

TEST_CASE("what is no address is refused") {
    const auto p = egress_policy::parse({}).value();
    for (const char* a : {"", "localhost", "2130706433", "0x7f.1", "127.1", "0177.0.0.1", "[::1]",
                          "fe80::1%eth0", "8.8.8.8 "}) {
        CAPTURE(a);
        CHECK(!allowed(p, a));
    }
}

TEST_CASE("a listed network, address or host is allowed, and nothing beside it") {
    const auto p = egress_policy::parse(
                       {"127.0.0.0/8", "10.1.2.3", "fd00::/8", "inner.example:8443", "any.example"})
                       .value();
    CHECK(allowed(p, "127.0.0.1"));
    CHECK(allowed(p, "::ffff:127.0.0.1"));
    CHECK(!allowed(p, "::1"));
    CHECK(allowed(p, "10.1.2.3"));
    CHECK(!allowed(p, "10.1.2.4"));
    CHECK(allowed(p, "fd00::1"));
    CHECK(!allowed(p, "fc00::1"));
    CHECK(allowed(p, "10.9.9.9", "inner.example", 8443));
    CHECK(allowed(p, "10.9.9.9", "INNER.example.", 8443));
    CHECK(!allowed(p, "10.9.9.9", "inner.example", 443));
    CHECK(!allowed(p, "10.9.9.9", "x.inner.example", 8443));
    CHECK(allowed(p, "10.9.9.9", "any.example", 1));
    CHECK(!allowed(egress_policy::parse({"10.0.0.0/9"}).value(), "10.128.0.1"));
    CHECK(allowed(egress_policy::parse({"10.0.0.0/9"}).value(), "10.127.0.1"));
    CHECK(allowed(egress_policy::parse({"0.0.0.0/0"}).value(), "10.127.0.1"));
}

TEST_CASE("a bad entry is told at the start") {
    for (const char* entry : {"", "10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0.0/x", "host/8",
                              "host:0", "host:99999", "host:x", "ho st", "https://host"}) {
        CAPTURE(entry);
        CHECK(egress_policy::parse({entry}).error() == errc::bad_configuration);
    }
}

TEST_CASE("nothing is sent to a refused address, however it is written") {
    guarded g({}, true);
    for (const char* host :
         {"127.0.0.1", "10.0.0.1", "169.254.169.254", "[::1]", "[::ffff:127.0.0.1]",
          "[::ffff:7f00:1]", "[fe80::1]", "[2002:7f00:1::]", "[64:ff9b::7f00:1]", "[::127.0.0.1]",
          "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "017700000001", "127.1", "0",
          "localhost"}) {
        CAPTURE(host);
        const auto r = fetch(*g.client, "http://" + std::string(host) + ":9/");
        CHECK(r.error() == errc::address_refused);
    }
    CHECK(g.connects->seen().empty());
}

TEST_CASE("a name that resolves to a refused address is refused") {
    guarded g;
    g.names->answers["inner.example"] = {{"10.0.0.1", "::1"}};
    CHECK(fetch(*g.client, "http://inner.example/").error() == errc::address_refused);
    CHECK(g.connects->seen().empty());
    CHECK(fetch(*g.client, "http://nowhere.example/").error() == errc::resolve_failed);
}

TEST_CASE("of several addresses only the allowed ones are connected to") {
    guarded g;
    g.names->answers["mixed.example"] = {{"10.0.0.1", "8.8.8.8", "::1"}};
    CHECK(fetch(*g.client, "http://mixed.example/").error() == errc::connect_failed);
    CHECK(g.connects->seen() == std::vector<std::string>{"8.8.8.8"});
}

TEST_CASE("a name that changes to a private address between two requests is refused") {
    guarded g;
    g.names->answers["rebind.example"] = {{"8.8.8.8"}, {"127.0.0.1"}};
    CHECK(fetch(*g.client, "http://rebind.example:9/").error() == errc::connect_failed);
    CHECK(fetch(*g.client, "http://rebind.example:9/").error() == errc::address_refused);
    CHECK(g.connects->seen() == std::vector<std::string>{"8.8.8.8"});
}

TEST_CASE("the address that was checked is the one that is connected to") {
    served s(plain_options());
    guarded g({"127.0.0.1"});
    const auto port = std::to_string(s.server->port());
    // A second look-up would give another address; there is none.
    g.names->answers["once.example"] = {{"127.0.0.1"}, {"10.0.0.1"}};
    CHECK(fetch(*g.client, "http://once.example:" + port + "/").value().status == 200);
    CHECK(g.connects->seen() == std::vector<std::string>{"127.0.0.1"});
}

TEST_CASE("the next address is tried when one does not connect") {
    served s(plain_options());
    guarded g({"127.0.0.1"});
    g.names->answers["two.example"] = {{"8.8.8.8", "127.0.0.1"}};
    const auto port = std::to_string(s.server->port());
    CHECK(fetch(*g.client, "http://two.example:" + port + "/").value().status == 200);
    CHECK(g.connects->seen() == std::vector<std::string>{"8.8.8.8", "127.0.0.1"});
}

TEST_CASE("a name whose servers do not answer holds up nobody but who asked for it") {
    class stuck_resolver final : public resolver {
      public:
        promised<int> release;
        promised<int> stuck;
        std::atomic<int> asked{0};
        result<std::vector<std::string>> resolve(const std::string& host) override {
            if (host == "slow.example") {
                ++asked;
                stuck.set(1);
                release.wait();
            }
            return std::vector<std::string>{"127.0.0.1"};
        }
    };
    served s(plain_options());
    const auto names = std::make_shared<stuck_resolver>();
    auto options = trusting();
    options.names = names;
    const auto rt = make_runtime(1, 1);
    const auto client = make_http_client(*rt, options).value();
    const auto port = std::to_string(s.server->port());
    std::vector<std::shared_ptr<pending_request>> pending;
    std::atomic<int> answered{0};
    for (int i = 0; i < 50; ++i) {
        client_request r;
        r.url = "http://slow.example:" + port + "/";
        pending.push_back(client->send(std::move(r), [&](result<http_response> a) {
            if (a.has_value()) ++answered;
        }));
    }
    names->stuck.get();
    CHECK(fetch(*client, "http://quick.example:" + port + "/").value().status == 200);
    promised<int> worked;
    rt->post_work([&] { worked.set(1); });
    CHECK(worked.get() == 1);
    CHECK(answered == 0);
    names->release.set(1);
    CHECK(eventually([&] { return answered == 50; }));
    CHECK(names->asked <= 2);  // they shared the look-up
    client->stop();
}

TEST_CASE("as many names as a client has streams may hang, and others are looked up") {
    class stuck_resolver final : public resolver {
      public:
        promised<int> release;
        std::atomic<int> stuck{0};
        result<std::vector<std::string>> resolve(const std::string& host) override {
            if (host.starts_with("slow")) {
                ++stuck;
                release.wait();
            }
            return std::vector<std::string>{"127.0.0.1"};
        }
    };
    constexpr int hostile = 32;  // two clients with streams_per_receiver (16) each
    served s(plain_options());
    const auto names = std::make_shared<stuck_resolver>();
    auto options = trusting();
    options.names = names;
    const auto rt = make_runtime(1, 1);
    const auto client = make_http_client(*rt, options).value();
    const auto port = std::to_string(s.server->port());
    std::vector<std::shared_ptr<pending_request>> pending;
    for (int i = 0; i < hostile; ++i) {
        client_request r;
        r.url = "http://slow" + std::to_string(i) + ".example:" + port + "/";
        pending.push_back(client->send(std::move(r), [](result<http_response>) {}));
    }
    CHECK(eventually([&] { return names->stuck == hostile; }));
    CHECK(fetch(*client, "http://quick.example:" + port + "/").value().status == 200);
    names->release.set(1);
    client->stop();
}

TEST_CASE("a request times out although its name is still being looked up") {
    class stuck_resolver final : public resolver {
      public:
        promised<int> release;
        result<std::vector<std::string>> resolve(const std::string&) override {
            release.wait();
            return std::vector<std::string>{"127.0.0.1"};
        }
    };
    const auto names = std::make_shared<stuck_resolver>();
    auto options = trusting();
    options.names = names;
    const auto rt = make_runtime(1, 1);
    const auto client = make_http_client(*rt, options).value();
    client_request r;
    r.url = "http://slow.example:9/";
    r.timeout = 60ms;
    CHECK(fetch(*client, std::move(r)).error() == errc::timed_out);
    names->release.set(1);
}
