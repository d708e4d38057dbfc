#include "base/random.hpp"

#include <sys/random.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <random>

namespace mission {
namespace {

class kernel_random final : public random_source {
  public:
    void fill(std::span<std::byte> out) noexcept override {
        std::size_t done = 0;
        while (done < out.size()) {
            const ssize_t n = ::getrandom(out.data() + done, out.size() - done, 0);
            if (n < 0) {
                if (errno == EINTR) continue;
                std::abort();
            }
            done += static_cast<std::size_t>(n);
        }
    }
};

class seeded final : public random_source {
  public:
    explicit seeded(std::uint64_t seed) : engine_(seed) {}
    void fill(std::span<std::byte> out) noexcept override {
        for (std::size_t i = 0; i < out.size(); i += 8) {
            const std::uint64_t word = engine_();
            std::memcpy(out.data() + i, &word, std::min<std::size_t>(8, out.size() - i));
        }
    }

  private:
    std::mt19937_64 engine_;
};

}  // namespace

std::uint64_t random_source::below(std::uint64_t bound) noexcept {
    // Rejects the incomplete last stretch, so that every value is equally likely.
    const std::uint64_t limit = UINT64_MAX - UINT64_MAX % bound;
    for (;;) {
        std::uint64_t word = 0;
        fill(std::as_writable_bytes(std::span{&word, 1}));
        if (word < limit) return word % bound;
    }
}

random_source& system_random() noexcept {
    static kernel_random instance;
    return instance;
}

std::unique_ptr<random_source> seeded_random(std::uint64_t seed) {
    return std::make_unique<seeded>(seed);
}

}  // namespace mission
