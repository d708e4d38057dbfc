#include <doctest/doctest.h>

#include "tests/transmitter/printing.hpp"

#include <future>

#include "tests/transmitter/fixture.hpp"

using namespace mission;
using namespace mission::transmitter;
using testing::transmitter_fixture;

TEST_CASE("stopping with nothing in flight is quick, and twice is harmless") {
    transmitter_fixture f;
    f.create();
    const auto from = std::chrono::steady_clock::now();
    f.running().stop(std::chrono::seconds(4));
    CHECK(std::chrono::steady_clock::now() - from < std::chrono::seconds(3));
    f.running().stop(std::chrono::seconds(4));
}

TEST_CASE("what was acknowledged before a stop is there after the next start") {
    transmitter_fixture f(
        [](config& c) { c.store_url = "sqlite:" + c.signing_directory + "/../t.db"; });
    const auto id = f.create();
    REQUIRE(f.lifecycle("operator", id, "revoke").status == 200);
    f.restart();
    CHECK(f.get("/missions/" + id, f.token("operator")).text("state") == "revoked");
}

TEST_CASE("a start that fails says why and leaves nothing running") {
    transmitter_fixture f;
    testing::temporary_folder folder;
    auto c = testing::fixture_config(folder.path());
    c.listen_port = f.running().port();
    app_options o;
    const auto dev = start_app(c, o);
    REQUIRE_FALSE(dev);
    CHECK(dev.error().code == errc::bad_configuration);  // no certificate

    auto bad_store = testing::fixture_config(folder.path());
    bad_store.store_url = "sqlite:" + folder.path() + "/secret.key";
    o.certificate_pem = "nonsense";
    const auto no_database = start_app(bad_store, o);
    REQUIRE_FALSE(no_database);
    CHECK(no_database.error().detail.find("secret.key") != std::string::npos);
}
