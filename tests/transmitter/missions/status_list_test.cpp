#include <doctest/doctest.h>

#include "tests/transmitter/printing.hpp"

#include <zlib.h>

#include <string>
#include <vector>

#include "jose/base64url.hpp"
#include "transmitter/missions/status_list.hpp"

using namespace mission;
using namespace mission::transmitter;

namespace {

std::string inflated(const std::string& lst) {
    const auto packed = jose::base64url_decode(lst);
    REQUIRE(packed);
    std::string out(status_list_size, '\0');
    auto size = static_cast<uLongf>(out.size());
    REQUIRE(uncompress(reinterpret_cast<Bytef*>(out.data()), &size,
                       reinterpret_cast<const Bytef*>(packed->data()),
                       static_cast<uLong>(packed->size())) == Z_OK);
    out.resize(size);
    return out;
}

}  // namespace

TEST_CASE("each mission of a list has an index of its own") {
    const status_places places("a key");
    std::vector<bool> taken(status_list_size);
    for (std::int64_t row = 1; row <= status_list_size; ++row) {
        const auto index = places.index_of(store::mission_row{row});
        REQUIRE(index < taken.size());
        REQUIRE_FALSE(taken[index]);
        taken[index] = true;
    }
    // The next list begins anew.
    CHECK(places.index_of(store::mission_row{status_list_size + 1}) ==
          places.index_of(store::mission_row{1}));
    CHECK(status_list_of(store::mission_row{status_list_size}) == 0);
    CHECK(status_list_of(store::mission_row{status_list_size + 1}) == 1);
    CHECK(first_of_list(1) == store::mission_row{status_list_size + 1});
}

TEST_CASE("an index says nothing about when a mission was made, and stays with its key") {
    const status_places one("a key"), again("a key"), other("another key");
    int same = 0, neighbours = 0;
    for (std::int64_t row = 1; row < 1000; ++row) {
        const auto index = one.index_of(store::mission_row{row});
        REQUIRE(index == again.index_of(store::mission_row{row}));
        same += index == other.index_of(store::mission_row{row});
        neighbours += one.index_of(store::mission_row{row + 1}) == index + 1;
    }
    CHECK(same < 10);
    CHECK(neighbours < 10);
}

TEST_CASE("two bits a mission, the first index lowest in its octet") {
    status_bits bits;
    CHECK(bits.get(0) == list_status::invalid);
    bits.set(0, list_status::valid);
    bits.set(1, list_status::suspended);
    bits.set(3, list_status::valid);
    bits.set(65'535, list_status::suspended);
    const auto octets = inflated(bits.compressed());
    REQUIRE(octets.size() == 16'384);
    // 3: valid 00, 2: invalid 01, 1: suspended 10, 0: valid 00.
    CHECK(static_cast<unsigned char>(octets[0]) == 0b00'01'10'00);
    CHECK(static_cast<unsigned char>(octets[1]) == 0b01'01'01'01);
    CHECK(static_cast<unsigned char>(octets[16'383]) == 0b10'01'01'01);
    bits.set(1, list_status::invalid);
    CHECK(bits.get(1) == list_status::invalid);
    CHECK(bits.get(0) == list_status::valid);
    CHECK(bits.get(65'535) == list_status::suspended);
}

TEST_CASE("every state has its status") {
    using events::mission_state;
    CHECK(list_status_of(mission_state::active) == list_status::valid);
    CHECK(list_status_of(mission_state::suspended) == list_status::suspended);
    for (const auto s : {mission_state::completed, mission_state::revoked, mission_state::expired,
                         mission_state::superseded, mission_state::cascaded})
        CHECK(list_status_of(s) == list_status::invalid);
}
