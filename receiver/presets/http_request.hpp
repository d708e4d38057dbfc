// One configured request: read once, filled for each task. No network here.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/json.hpp"
#include "mission_signals/presets.hpp"
#include "receiver/presets/wire.hpp"

namespace mission::receiver::presets {

struct filled_request {
    wire_request request;
    std::string shown;               // "DELETE https://host/path/{data}": held data is not shown
    std::vector<std::string> known;  // what no evidence may hold though a peer echoes it
};

class request_template {
  public:
    // setup_error: names the member.
    request_template(ms::http_step step, bool plain_http);

    const ms::http_step& step() const noexcept { return step_; }
    bool is_for(ms::effect e) const;
    // unfit_value: a value that does not fit where it is to stand; a secret that cannot be read.
    filled_request fill(const ms::task& t) const;

    // Success or "gone" by its status.
    bool expected(int status) const;
    bool gone(int status) const;
    // Of a look: whether what is looked for is seen. `seen` says what is there instead.
    bool satisfied(const net::http_response& r, std::string& seen) const;

  private:
    std::string fill_url(const ms::task& t, filled_request& out) const;
    std::string fill_json(const ms::task& t, filled_request& out) const;

    ms::http_step step_;
    ms::task_text url_;
    std::string origin_;
    std::shared_ptr<const json::document> json_, wanted_;  // `equals` or `differs`
    std::vector<ms::task_text> strings_;  // of `json_`, in the order of a walk through it
};

}  // namespace mission::receiver::presets
