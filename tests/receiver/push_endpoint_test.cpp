// The push endpoint without a network: how many wait at once.
#include <doctest/doctest.h>

#include <new>
#include <vector>

#include "base/limits.hpp"
#include "receiver/subscribe/push.hpp"

using namespace mission;
using namespace mission::receiver;

namespace {

// Keeps what it is given, or has no memory for it.
class full_intake final : public intake {
  public:
    void accept(std::string_view, std::string_view,
                std::function<void(set_outcome)> done) override {
        if (!memory) throw std::bad_alloc();
        waiting.push_back(std::move(done));
    }
    std::shared_ptr<void> gather() override { return nullptr; }
    void set_audience(std::string) override {}
    std::string audience() const override { return {}; }

    bool memory = true;
    std::vector<std::function<void(set_outcome)>> waiting;
};

const ms::push_request request{"application/secevent+jwt", "", "a.b.c"};

}  // namespace

TEST_CASE("so many pushes wait at once, and who is answered makes room") {
    const auto sets = std::make_shared<full_intake>();
    const push_endpoint endpoint(sets, "");
    std::vector<int> told;
    const auto push = [&] {
        endpoint.handle(request, [&](const ms::push_response& r) { told.push_back(r.status); });
    };
    for (int n = 0; n < limits::pushes_in_flight; ++n)
        push();
    CHECK(told.empty());
    push();
    CHECK(told == std::vector{429});
    sets->waiting.back()({});
    CHECK(told == std::vector{429, 202});
    push();
    CHECK(told.size() == 2);
}

TEST_CASE("pushes that memory failed keep no place") {
    const auto sets = std::make_shared<full_intake>();
    const push_endpoint endpoint(sets, "");
    sets->memory = false;
    for (int n = 0; n <= limits::pushes_in_flight; ++n)
        CHECK_THROWS_AS(endpoint.handle(request, [](const ms::push_response&) {}), std::bad_alloc);
    sets->memory = true;
    int status = 0;
    endpoint.handle(request, [&](const ms::push_response& r) { status = r.status; });
    REQUIRE(sets->waiting.size() == 1);
    sets->waiting[0]({});
    CHECK(status == 202);
}
