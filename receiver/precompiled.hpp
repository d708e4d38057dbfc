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
#include "mission_signals/receiver.hpp"
