// Builds the precompiled headers that all tests share; main.cpp needs doctest's own way.
#include "tests/precompiled.hpp"
