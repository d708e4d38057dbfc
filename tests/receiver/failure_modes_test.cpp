// Rows of docs/failure-modes.md that no other file shows: what check() says while something is
// broken, and that it is over when it is over.
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <sys/resource.h>

#include <algorithm>
#include <csignal>
#include <filesystem>

#include "tests/receiver/bench.hpp"

using namespace mission;
using namespace mission::test;
using namespace mission_signals;
using namespace std::chrono_literals;

namespace {

// No file of this process grows beyond what it is now: what a full disk is to who writes.
class full_disk {
  public:
    explicit full_disk(const temp_dir& dir) {
        before_ = ::signal(SIGXFSZ, SIG_IGN);
        ::getrlimit(RLIMIT_FSIZE, &was_);
        std::uintmax_t size = 0;
        for (const char* name : {"state.db", "state.db-wal"}) {
            std::error_code e;
            if (const auto n = std::filesystem::file_size(dir / name, e); !e)
                size = std::max(size, n);
        }
        rlimit now = was_;
        now.rlim_cur = size;
        REQUIRE(::setrlimit(RLIMIT_FSIZE, &now) == 0);
    }
    ~full_disk() { mend(); }
    full_disk(const full_disk&) = delete;
    full_disk& operator=(const full_disk&) = delete;
    void mend() {
        ::setrlimit(RLIMIT_FSIZE, &was_);
        ::signal(SIGXFSZ, before_);
    }

  private:
    rlimit was_{};
    sighandler_t before_ = SIG_DFL;
};

// Certificates for localhost under one CA, good ones and one that has expired.
class authority_of_tests {
  public:
    authority_of_tests() : key_(::EVP_EC_gen("P-256")), ca_(make(nullptr, key_, 3600)) {}
    ~authority_of_tests() {
        ::X509_free(ca_);
        ::EVP_PKEY_free(key_);
    }
    authority_of_tests(const authority_of_tests&) = delete;
    authority_of_tests& operator=(const authority_of_tests&) = delete;

    // `seconds` from now on; negative: over since then.
    net::dev_certificate issue(long seconds) {
        auto* key = ::EVP_EC_gen("P-256");
        auto* leaf = make(ca_, key, seconds);
        net::dev_certificate out;
        out.ca_pem = text([&](BIO* b) { return ::PEM_write_bio_X509(b, ca_); });
        out.certificate_pem = text([&](BIO* b) { return ::PEM_write_bio_X509(b, leaf); });
        out.private_key_pem = text([&](BIO* b) {
            return ::PEM_write_bio_PrivateKey(b, key, nullptr, nullptr, 0, nullptr, nullptr);
        });
        ::X509_free(leaf);
        ::EVP_PKEY_free(key);
        return out;
    }

  private:
    template <class Write>
    static std::string text(Write&& write) {
        auto* bio = ::BIO_new(::BIO_s_mem());
        REQUIRE(write(bio) == 1);
        char* data = nullptr;
        const auto size = ::BIO_get_mem_data(bio, &data);
        std::string out(data, static_cast<std::size_t>(size));
        ::BIO_free(bio);
        return out;
    }
    X509* make(X509* issuer, EVP_PKEY* key, long seconds) {
        auto* x = ::X509_new();
        ::X509_set_version(x, 2);
        ::ASN1_INTEGER_set(::X509_get_serialNumber(x), ++serial_);
        ::X509_gmtime_adj(X509_getm_notBefore(x), -7200);
        ::X509_gmtime_adj(X509_getm_notAfter(x), seconds);
        auto* name = ::X509_get_subject_name(x);
        const auto* cn = reinterpret_cast<const unsigned char*>(issuer ? "localhost" : "tests");
        ::X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, cn, -1, -1, 0);
        ::X509_set_issuer_name(x, issuer ? ::X509_get_subject_name(issuer) : name);
        ::X509_set_pubkey(x, key);
        X509V3_CTX context;
        X509V3_set_ctx_nodb(&context);
        ::X509V3_set_ctx(&context, issuer ? issuer : x, x, nullptr, nullptr, 0);
        add(context, x, NID_basic_constraints, issuer ? "CA:FALSE" : "critical,CA:TRUE");
        if (issuer) add(context, x, NID_subject_alt_name, "DNS:localhost,IP:127.0.0.1");
        REQUIRE(::X509_sign(x, key_, ::EVP_sha256()) > 0);
        return x;
    }
    static void add(X509V3_CTX& context, X509* x, int nid, const char* value) {
        auto* e = ::X509V3_EXT_conf_nid(nullptr, &context, nid, value);
        REQUIRE(e != nullptr);
        ::X509_add_ext(x, e, -1);
        ::X509_EXTENSION_free(e);
    }

    long serial_ = 0;
    EVP_PKEY* key_;
    X509* ca_;
};

struct modes : poll_bench {
    std::string active(const std::string& id = new_id()) {
        tx.send(tx.change(id, 1, "active"));
        REQUIRE(becomes(id, standing::active));
        return id;
    }
    bool permitted(const std::string& id) { return rx->missions().check(id).permitted(); }
};

}  // namespace

TEST_CASE("a full disk: denials hold at once, nothing is acknowledged, and it mends by itself") {
    modes b;
    b.start(b.options());
    b.live();
    const auto id = b.active(), fresh = new_id();
    full_disk disk(b.dir);
    const auto ended = b.tx.send(b.tx.change(id, 2, "revoked"));
    CHECK(b.becomes(id, standing::revoked));
    const auto begun = b.tx.send(b.tx.change(fresh, 1, "active"));
    CHECK(eventually([&] { return b.logged("state cannot be written"); }));
    // So many polls have passed that each SET was offered again.
    const auto polls = b.tx.polls.load();
    REQUIRE(eventually([&] { return b.tx.polls > polls + 2; }));
    CHECK_FALSE(b.tx.acknowledged(ended));
    CHECK_FALSE(b.tx.acknowledged(begun));
    CHECK_FALSE(b.permitted(fresh));
    disk.mend();
    CHECK(eventually([&] { return b.tx.acknowledged(ended) && b.tx.acknowledged(begun); }));
    CHECK(b.becomes(fresh, standing::active));
    CHECK(b.logged("state can be written again"));
}

TEST_CASE("a state that is lost: everything is unknown until Status says, the stream is the same") {
    modes b;
    b.start(b.options());
    b.live();
    const auto runs = b.active(), over = b.active();
    const auto ended = b.tx.send(b.tx.change(over, 2, "revoked"));
    REQUIRE(eventually([&] { return b.tx.acknowledged(ended); }));
    b.rx.reset();
    for (const char* name : {"state.db", "state.db-wal", "state.db-shm"})
        std::filesystem::remove(b.dir / name);
    b.start(b.options());
    b.live();
    // What was acknowledged does not come again.
    CHECK(b.rx->missions().check(runs).what == standing::unknown);
    CHECK(b.rx->missions().check(over).what == standing::unknown);
    CHECK(b.rx->missions().resolve(runs, 20s).what == standing::active);
    CHECK(b.rx->missions().resolve(over, 20s).what == standing::revoked);
    CHECK(b.tx.streams_created == 1);
}

TEST_CASE("a transmitter with another history permits nothing before Status, and may go back") {
    modes b;
    b.start(b.options());
    b.live();
    const auto id = b.active(), over = b.active();
    b.tx.send(b.tx.change(id, 2, "suspended"));
    // One after the other: a gap would be closed by Status, whose word is good for a while by
    // itself.
    REQUIRE(b.becomes(id, standing::suspended));
    b.tx.send(b.tx.change(id, 3, "active"));
    REQUIRE(eventually([&] {
        const auto a = b.rx->missions().check(id);
        return a.permitted() && a.version == 3;
    }));
    // As a copy of its first day has it: version 1; and the other one ended under new numbers.
    b.tx.status_down = true;
    b.tx.set_status(id, {"active", "e2", 1, "[]"});
    b.tx.set_status(over, {"revoked", "e2", 1, "[]"});
    REQUIRE(eventually([&, beat = b.tx.heartbeat(1, "e2")] { return b.tx.acknowledged(beat); }));
    CHECK_FALSE(b.permitted(id));
    CHECK_FALSE(b.permitted(over));
    b.tx.status_down = false;
    CHECK(b.rx->missions().resolve(id, 20s).what == standing::active);
    CHECK(b.rx->missions().check(id).version == 1);
    CHECK(b.rx->missions().resolve(over, 20s).what == standing::revoked);
}

TEST_CASE("an expired certificate of the transmitter is told, denies, and a new one is taken") {
    authority_of_tests authority;
    modes b;
    b.tx.stop();
    b.tx.certificate = authority.issue(3600);
    b.tx.start();
    b.tx.max_stale = 1s;
    b.start(b.options());
    b.live();
    const auto id = new_id();
    b.tx.send(b.tx.change(id, 1, "active"));
    const auto again = [&] {
        return eventually([&] {
            b.tx.heartbeat();
            return b.permitted(id);
        });
    };
    REQUIRE(again());
    const auto good = b.tx.certificate;
    b.tx.stop();
    b.tx.certificate = authority.issue(-60);
    b.tx.start();
    CHECK(b.problem("certificate has expired"));
    CHECK(b.becomes(id, standing::stale));
    b.tx.stop();
    b.tx.certificate = good;
    b.tx.start();
    CHECK(again());
}

TEST_CASE("a proxy that cuts long polls delays, and loses nothing") {
    modes b;
    b.start(b.options());
    b.live();
    const auto id = b.active();
    std::atomic<int> cut{0};
    {
        const last_word nobody(b);
        b.tx.answer_with([&](const net::http_request& r) -> std::optional<net::http_response> {
            if (!r.path.starts_with("/ssf/poll/")) return std::nullopt;
            ++cut;
            return text_response(504, "<html>gateway time-out</html>", "text/html");
        });
        // The poll that waits ends with this, and those that follow meet the proxy.
        const auto ended = b.tx.send(b.tx.change(id, 2, "revoked"));
        REQUIRE(eventually([&] { return cut >= 2; }));
        CHECK(b.problem("504"));
        b.tx.answer_with(nullptr);
        CHECK(b.becomes(id, standing::revoked));
        CHECK(eventually([&] { return b.tx.acknowledged(ended); }));
    }
}

TEST_CASE("a Status that does not answer leaves the denial, and who asks comes back in time") {
    modes b;
    b.start(b.options());
    b.live();
    const auto id = new_id();
    b.tx.set_status(id, {"active", "e1", 1, "[]"});
    b.tx.hold("/mission/status");
    const auto begin = std::chrono::steady_clock::now();
    CHECK_FALSE(b.rx->missions().resolve(id, 200ms).permitted());
    CHECK(std::chrono::steady_clock::now() - begin < 10s);
    CHECK_FALSE(b.permitted(id));
    b.tx.release_held();
    CHECK(b.becomes(id, standing::active));
}

TEST_CASE("a copy of the state that is put back permits nothing before Status has spoken") {
    modes b;
    b.tx.max_stale = 1s;
    b.start(b.options());
    b.live();
    const auto id = new_id();
    b.tx.send(b.tx.change(id, 1, "active"));
    REQUIRE(eventually([&] {
        b.tx.heartbeat();
        return b.permitted(id);
    }));
    b.rx.reset();
    std::filesystem::copy_file(b.dir / "state.db", b.dir / "backup.db");
    const auto copied = std::chrono::steady_clock::now();
    b.start(b.options());
    const auto ended = b.tx.send(b.tx.change(id, 2, "revoked"));
    REQUIRE(eventually([&] { return b.tx.acknowledged(ended); }));
    b.rx.reset();
    for (const char* name : {"state.db-wal", "state.db-shm"})
        std::filesystem::remove(b.dir / name);
    std::filesystem::copy_file(b.dir / "backup.db", b.dir / "state.db",
                               std::filesystem::copy_options::overwrite_existing);
    // As old as what nobody relies on any more: younger ones nobody can tell from a restart.
    REQUIRE(eventually([&] { return std::chrono::steady_clock::now() - copied > 2500ms; }));
    b.tx.status_down = true;
    b.start(b.options());
    REQUIRE(eventually([&] { return !b.rx->current_status().aud.empty(); }));
    REQUIRE(eventually([&, beat = b.tx.heartbeat()] { return b.tx.acknowledged(beat); }));
    // The copy says active, the stream lives, and the revocation does not come again.
    const auto seen = b.rx->missions().view(id);
    REQUIRE(seen);
    CHECK(seen->state == "active");
    CHECK_FALSE(b.permitted(id));
    CHECK(b.logged("or a copy"));
    b.tx.status_down = false;
    CHECK(b.rx->missions().resolve(id, 20s).what == standing::revoked);
}
