// The broker's side of the vault's admin API.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "samples/common/service.hpp"

namespace sample {

struct vault_answer {
    int status = 0;  // 0: no answer
    std::string body;
};

// One kept-alive connection, used by one caller at a time. THREAD: every method from any thread.
class vault_client {
  public:
    vault_client(const std::string& url, const std::string& ca_file, const std::string& admin_token)
        : http_(make_client(url, ca_file, admin_token)) {}

    vault_answer create(const std::string& id, const std::string& mission,
                        const std::string& secret);
    vault_answer destroy(const std::string& id, const std::string& reason);
    // verb: disable, enable or renew
    vault_answer change(const std::string& id, const std::string& verb, const std::string& reason);

  private:
    vault_answer send(httplib::Request request);
    std::mutex lock_;
    std::unique_ptr<httplib::Client> http_;
};

}  // namespace sample
