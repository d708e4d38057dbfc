// How doctest shows a result<T>: its error, whatever T is. Included after doctest.
#pragma once

#include <doctest/doctest.h>

#include "base/error.hpp"

namespace doctest {

template <class T>
struct StringMaker<boost::system::result<T, mission::error>> {
    static String convert(const boost::system::result<T, mission::error>& r) {
        return r.has_value() ? String("a value") : String(r.error().message().c_str());
    }
};

}  // namespace doctest
