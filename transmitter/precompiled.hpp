// What nearly every file of this folder reads, compiled once (CMake's precompiled headers). Files
// still name what they use.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/json.hpp"
#include "base/time.hpp"
#include "events/mission_event.hpp"
#include "jose/jws.hpp"
#include "net/http.hpp"
#include "net/runtime.hpp"
#include "store/store.hpp"
#include "transmitter/config.hpp"
