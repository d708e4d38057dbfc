#include "samples/pam_broker/vault_client.hpp"

namespace sample {

vault_answer vault_client::send(httplib::Request request) {
    request.set_header("Content-Type", "application/json");
    const std::lock_guard hold(lock_);
    // A kept-alive connection may have been closed by the vault meanwhile: once more on a new one.
    for (int attempt = 0; attempt < 2; ++attempt)
        if (auto result = http_->send(request)) return {result->status, result->body};
    return {};
}

vault_answer vault_client::create(const std::string& id, const std::string& mission,
                                  const std::string& secret) {
    httplib::Request request;
    request.method = "POST";
    request.path = "/admin/credentials";
    request.body = json_object().add("id", id).add("mission", mission).add("secret", secret).str();
    return send(std::move(request));
}

vault_answer vault_client::destroy(const std::string& id, const std::string& reason) {
    httplib::Request request;
    request.method = "DELETE";
    request.path = "/admin/credentials/" + id;
    request.body = json_object().add("reason", reason).str();
    return send(std::move(request));
}

vault_answer vault_client::change(const std::string& id, const std::string& verb,
                                  const std::string& reason) {
    httplib::Request request;
    request.method = "POST";
    request.path = "/admin/credentials/" + id + "/" + verb;
    request.body = json_object().add("reason", reason).str();
    return send(std::move(request));
}

}  // namespace sample
