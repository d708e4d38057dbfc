#include "jose/detail/base64_simd.hpp"

#if defined(__x86_64__)
#include <tmmintrin.h>
#endif

namespace mission::jose::detail {

#if defined(__x86_64__)

namespace {

const bool capable = __builtin_cpu_supports("ssse3") != 0;

__attribute__((target("ssse3"))) __m128i between(__m128i v, char first, char last) {
    const __m128i above = _mm_cmpgt_epi8(v, _mm_set1_epi8(static_cast<char>(first - 1)));
    return _mm_and_si128(above, _mm_cmpgt_epi8(_mm_set1_epi8(static_cast<char>(last + 1)), v));
}

__attribute__((target("ssse3"))) std::size_t encode_ssse3(const unsigned char* in, std::size_t size,
                                                          char* out) {
    // Of every three octets b0 b1 b2 a lane of b1 b0 b2 b1, from which two multiplications move
    // the four groups of six bits to octets of their own.
    const __m128i spread = _mm_setr_epi8(1, 0, 2, 1, 4, 3, 5, 4, 7, 6, 8, 7, 10, 9, 11, 10);
    // What to add to a value for its character, by the value's range: 'a'.., '0'.., '-', '_', 'A'..
    const __m128i offsets =
        _mm_setr_epi8('a' - 26, '0' - 52, '0' - 52, '0' - 52, '0' - 52, '0' - 52, '0' - 52,
                      '0' - 52, '0' - 52, '0' - 52, '0' - 52, '-' - 62, '_' - 63, 'A', 0, 0);
    std::size_t done = 0;
    // Sixteen octets are read where twelve are used.
    for (; size - done >= 16; done += 12, out += 16) {
        const __m128i raw = _mm_loadu_si128(reinterpret_cast<const __m128i*>(in + done));
        const __m128i lanes = _mm_shuffle_epi8(raw, spread);
        const __m128i high = _mm_mulhi_epu16(_mm_and_si128(lanes, _mm_set1_epi32(0x0fc0fc00)),
                                             _mm_set1_epi32(0x04000040));
        const __m128i low = _mm_mullo_epi16(_mm_and_si128(lanes, _mm_set1_epi32(0x003f03f0)),
                                            _mm_set1_epi32(0x01000010));
        const __m128i values = _mm_or_si128(high, low);
        const __m128i range = _mm_or_si128(
            _mm_subs_epu8(values, _mm_set1_epi8(51)),
            _mm_and_si128(_mm_cmpgt_epi8(_mm_set1_epi8(26), values), _mm_set1_epi8(13)));
        _mm_storeu_si128(reinterpret_cast<__m128i*>(out),
                         _mm_add_epi8(values, _mm_shuffle_epi8(offsets, range)));
    }
    return done;
}

__attribute__((target("ssse3"))) std::size_t decode_ssse3(const unsigned char* in, std::size_t size,
                                                          char* out) {
    const __m128i pack = _mm_setr_epi8(2, 1, 0, 6, 5, 4, 10, 9, 8, 14, 13, 12, -1, -1, -1, -1);
    std::size_t done = 0;
    // Sixteen octets are written where twelve count: the next 8 characters pay for the other four.
    for (; size - done >= 24; done += 16, out += 12) {
        const __m128i text = _mm_loadu_si128(reinterpret_cast<const __m128i*>(in + done));
        const __m128i upper = between(text, 'A', 'Z'), lower = between(text, 'a', 'z');
        const __m128i digit = between(text, '0', '9');
        const __m128i minus = _mm_cmpeq_epi8(text, _mm_set1_epi8('-'));
        const __m128i under = _mm_cmpeq_epi8(text, _mm_set1_epi8('_'));
        const __m128i known = _mm_or_si128(
            _mm_or_si128(_mm_or_si128(upper, lower), _mm_or_si128(digit, minus)), under);
        if (_mm_movemask_epi8(known) != 0xffff) break;
        const __m128i offset =
            _mm_or_si128(_mm_or_si128(_mm_or_si128(_mm_and_si128(upper, _mm_set1_epi8(-'A')),
                                                   _mm_and_si128(lower, _mm_set1_epi8(26 - 'a'))),
                                      _mm_or_si128(_mm_and_si128(digit, _mm_set1_epi8(52 - '0')),
                                                   _mm_and_si128(minus, _mm_set1_epi8(62 - '-')))),
                         _mm_and_si128(under, _mm_set1_epi8(63 - '_')));
        const __m128i values = _mm_add_epi8(text, offset);
        const __m128i pairs = _mm_maddubs_epi16(values, _mm_set1_epi32(0x01400140));
        const __m128i groups = _mm_madd_epi16(pairs, _mm_set1_epi32(0x00011000));
        _mm_storeu_si128(reinterpret_cast<__m128i*>(out), _mm_shuffle_epi8(groups, pack));
    }
    return done;
}

}  // namespace

std::size_t encode_front(const unsigned char* in, std::size_t size, char* out) noexcept {
    return capable ? encode_ssse3(in, size, out) : 0;
}
std::size_t decode_front(const unsigned char* in, std::size_t size, char* out) noexcept {
    return capable ? decode_ssse3(in, size, out) : 0;
}

#else

std::size_t encode_front(const unsigned char*, std::size_t, char*) noexcept {
    return 0;
}
std::size_t decode_front(const unsigned char*, std::size_t, char*) noexcept {
    return 0;
}

#endif

}  // namespace mission::jose::detail
