// Memory for one JSON document after another. A document of its own asks for 64 KiB and gives them
// back, which costs the heap more than reading a SET's claims does.
#pragma once

#include <memory>
#include <string_view>

#include "base/json.hpp"

namespace mission::json {

// Not thread safe, and not movable: a document that it made points into it.
class scratch {
  public:
    scratch();
    scratch(const scratch&) = delete;
    scratch& operator=(const scratch&) = delete;

    // As json::parse(). The document, and whatever points into it, ends with the next call and with
    // this object; it may be moved until then.
    result<document> parse(std::string_view text, std::size_t max_bytes = limits::json_bytes,
                           std::size_t max_depth = limits::json_depth);

  private:
    std::unique_ptr<char[]> area_;
    allocator memory_;
};

}  // namespace mission::json
