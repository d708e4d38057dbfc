// One program per target: MISSION_FUZZ_TARGET is its name.
#include <cstddef>
#include <cstdint>

#include "fuzz/targets.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    mission::fuzz::MISSION_FUZZ_TARGET(
        size == 0 ? std::string_view()
                  : std::string_view(reinterpret_cast<const char*>(data), size));
    return 0;
}
