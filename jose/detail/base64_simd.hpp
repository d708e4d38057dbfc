// base64url sixteen characters at a time, where the processor can. Private to jose/.
#pragma once

#include <cstddef>

namespace mission::jose::detail {

// Both work on the front of the input and leave the rest (at the least what does not fill a step)
// to the caller; they return how many octets of input they have dealt with, 0 where the processor
// lacks SSSE3.

// 12 octets become 16 characters. `out` has room for the whole encoded text.
std::size_t encode_front(const unsigned char* in, std::size_t size, char* out) noexcept;

// 16 characters become 12 octets. `out` has room for size / 4 * 3 octets. Stops before a character
// that is outside the alphabet.
std::size_t decode_front(const unsigned char* in, std::size_t size, char* out) noexcept;

}  // namespace mission::jose::detail
