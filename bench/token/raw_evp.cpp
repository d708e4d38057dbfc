#include <openssl/evp.h>
#include <openssl/rsa.h>

#include <cstdlib>

#include "bench/token/yardsticks.hpp"

namespace mission::bench {
namespace {

void must(bool ok) {
    if (!ok) std::abort();
}

class prepared final : public raw_evp {
  public:
    explicit prepared(const jose::private_key& key)
        : md_(EVP_MD_fetch(nullptr, "SHA256", nullptr)), hash_(EVP_MD_CTX_new()) {
        EVP_PKEY* pkey = key.to_public().native();
        signing_ = EVP_PKEY_CTX_new_from_pkey(nullptr, pkey, nullptr);
        verifying_ = EVP_PKEY_CTX_new_from_pkey(nullptr, pkey, nullptr);
        must(md_ && hash_ && signing_ && verifying_ && EVP_PKEY_sign_init(signing_) == 1 &&
             EVP_PKEY_verify_init(verifying_) == 1);
        for (EVP_PKEY_CTX* c : {signing_, verifying_}) {
            if (key.algorithm() == jose::alg::rs256)
                must(EVP_PKEY_CTX_set_rsa_padding(c, RSA_PKCS1_PADDING) == 1);
            must(EVP_PKEY_CTX_set_signature_md(c, md_) == 1);
        }
    }
    prepared(const prepared&) = delete;
    prepared& operator=(const prepared&) = delete;
    ~prepared() override {
        EVP_PKEY_CTX_free(signing_);
        EVP_PKEY_CTX_free(verifying_);
        EVP_MD_CTX_free(hash_);
        EVP_MD_free(md_);
    }

    std::size_t sign(std::string_view input) override {
        unsigned char digest[32];
        hash(input, digest);
        size_ = sizeof signature_;
        must(EVP_PKEY_sign(signing_, signature_, &size_, digest, sizeof digest) == 1);
        return size_;
    }
    bool verify(std::string_view input) override {
        unsigned char digest[32];
        hash(input, digest);
        return EVP_PKEY_verify(verifying_, signature_, size_, digest, sizeof digest) == 1;
    }

  private:
    void hash(std::string_view input, unsigned char* out) {
        must(EVP_DigestInit_ex2(hash_, md_, nullptr) == 1 &&
             EVP_DigestUpdate(hash_, input.data(), input.size()) == 1 &&
             EVP_DigestFinal_ex(hash_, out, nullptr) == 1);
    }

    EVP_MD* md_;
    EVP_MD_CTX* hash_;
    EVP_PKEY_CTX* signing_ = nullptr;
    EVP_PKEY_CTX* verifying_ = nullptr;
    unsigned char signature_[512]{};
    std::size_t size_ = 0;
};

}  // namespace

std::unique_ptr<raw_evp> make_raw_evp(const jose::private_key& key) {
    return std::make_unique<prepared>(key);
}

}  // namespace mission::bench
