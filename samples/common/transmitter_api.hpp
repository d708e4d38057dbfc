// The transmitter's JSON resources (missions, reports), asked as any OAuth client asks: a token by
// client_credentials and private_key_jwt, one for its lifetime.
#pragma once

#include <chrono>
#include <memory>
#include <mutex>
#include <string>

#include "samples/common/jwt.hpp"
#include "samples/common/service.hpp"

namespace sample {

struct api_answer {
    int status = 0;  // 0: no answer, `body` says why
    std::string body;
};

// THREAD: every method from any thread; one request at a time.
class transmitter_api {
  public:
    struct settings {
        std::string issuer, ca_file, client_id, private_key_file, scope;
    };
    // runtime_error when the issuer is no https URL or the key cannot be read.
    explicit transmitter_api(settings s);

    // `path` lies under the issuer: "/missions/ID". After a 401 once more with a new token.
    api_answer get(const std::string& path);
    api_answer post(const std::string& path, const std::string& json,
                    const std::string& idempotency_key = {});

    // A JWS of our own key (RFC 7515): whoever reads it later can tell that we have said it.
    std::string statement(const json_object& claims) const;

  private:
    api_answer call(const std::string& path, const std::string* json, const std::string& key);
    // Empty when there is none; `why` says so.
    std::string token(std::string& why);
    api_answer once(const std::string& path, const std::string* json, const std::string& key,
                    const std::string& bearer);

    const settings settings_;
    const es256_key key_;
    std::string origin_, prefix_;  // of the issuer: scheme and host, path
    std::mutex lock_;
    std::unique_ptr<httplib::Client> client_;
    std::string token_endpoint_, token_;
    std::chrono::steady_clock::time_point token_until_{};
};

}  // namespace sample
