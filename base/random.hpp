// Randomness as a parameter: the core takes a `random_source`, tests hand in a seeded one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

namespace mission {

class random_source {
  public:
    virtual ~random_source() = default;
    // Fills `out`; never fails (aborts when the kernel has no randomness to give).
    virtual void fill(std::span<std::byte> out) noexcept = 0;
    // Uniform in [0, bound); bound > 0.
    std::uint64_t below(std::uint64_t bound) noexcept;
};

// The kernel's generator (getrandom(2)); thread safe.
random_source& system_random() noexcept;

// Reproducible, not for secrets; not thread safe.
std::unique_ptr<random_source> seeded_random(std::uint64_t seed);

}  // namespace mission
