#include "receiver/sidecar/forwarded_certificate.hpp"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "net/http.hpp"
#include "receiver/sidecar/limits.hpp"

namespace mission::receiver::sidecar {
namespace {

using certificate = std::unique_ptr<X509, decltype(&X509_free)>;

error unreadable(const char* why) {
    return {errc::invalid_argument, why};
}

// Nobody is asked for a password: the certificate is a stranger's, and OpenSSL would ask at the
// terminal.
int no_password(char*, int, int, void*) {
    return -1;
}

certificate parse_pem(const std::string& pem) {
    const std::unique_ptr<BIO, decltype(&BIO_free)> bio(
        BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())), BIO_free);
    certificate out(bio ? PEM_read_bio_X509(bio.get(), nullptr, no_password, nullptr) : nullptr,
                    X509_free);
    ERR_clear_error();
    return out;
}

std::string text_of(const ASN1_STRING* s) {
    return {reinterpret_cast<const char*>(ASN1_STRING_get0_data(s)),
            static_cast<std::size_t>(ASN1_STRING_length(s))};
}

std::vector<std::string> alternative_names(X509* of, int type) {
    std::vector<std::string> out;
    const std::unique_ptr<GENERAL_NAMES, decltype(&GENERAL_NAMES_free)> all(
        static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(of, NID_subject_alt_name, nullptr, nullptr)),
        GENERAL_NAMES_free);
    if (!all) return out;
    for (int i = 0; i < sk_GENERAL_NAME_num(all.get()); ++i) {
        const auto* one = sk_GENERAL_NAME_value(all.get(), i);
        if (one->type == type) out.push_back(text_of(one->d.ia5));
    }
    return out;
}

std::vector<std::string> common_names(X509* of) {
    std::vector<std::string> out;
    const auto* subject = X509_get_subject_name(of);
    for (int at = -1; (at = X509_NAME_get_index_by_NID(subject, NID_commonName, at)) >= 0;)
        out.push_back(text_of(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at))));
    return out;
}

// CN of an RFC 2253 name, as Envoy writes `Subject`. One with escapes or several values is not
// looked into: what cannot be read for sure names nobody.
std::vector<std::string> common_names(std::string_view subject) {
    std::vector<std::string> out;
    if (subject.find_first_of("\\\"+") != std::string_view::npos) return out;
    while (!subject.empty()) {
        const auto end = std::min(subject.find(','), subject.size());
        auto part = subject.substr(0, end);
        subject.remove_prefix(std::min(end + 1, subject.size()));
        while (part.starts_with(' '))
            part.remove_prefix(1);
        if (part.starts_with("CN=")) out.emplace_back(part.substr(3));
    }
    return out;
}

// The element's values, up to `;`, `,` or the end; a quoted one may hold any of them. Backslashes
// stay: in a subject they are RFC 2253's own, and without them a part of one name would look like
// another name.
result<std::string> take_value(std::string_view& rest) {
    std::string out;
    if (!rest.starts_with('"')) {
        const auto end = std::min(rest.find_first_of(";,"), rest.size());
        out = rest.substr(0, end);
        rest.remove_prefix(end);
        return out;
    }
    for (std::size_t i = 1; i < rest.size(); ++i) {
        if (rest[i] == '"') {
            rest.remove_prefix(i + 1);
            return out;
        }
        if (rest[i] == '\\' && i + 1 < rest.size()) out += rest[i++];
        out += rest[i];
    }
    return unreadable("a quote that does not end");
}

bool same_word(std::string_view a, std::string_view lower) {
    return std::equal(a.begin(), a.end(), lower.begin(), lower.end(), [](char x, char y) {
        return (x >= 'A' && x <= 'Z' ? static_cast<char>(x + 32) : x) == y;
    });
}

std::vector<std::string> fitting(const certificate_reference& how,
                                 const std::vector<std::string>& names) {
    std::vector<std::string> out;
    for (const std::string_view n : names) {
        if (n.size() <= how.before.size() + how.after.size() || !n.starts_with(how.before) ||
            !n.ends_with(how.after))
            continue;
        std::string id(
            n.substr(how.before.size(), n.size() - how.before.size() - how.after.size()));
        if (std::find(out.begin(), out.end(), id) == out.end()) out.push_back(std::move(id));
    }
    return out;
}

}  // namespace

result<xfcc_element> parse_xfcc(std::string_view rest) {
    xfcc_element out;
    bool subject = false;
    while (!rest.empty()) {
        const auto equals = rest.find('=');
        if (equals == std::string_view::npos) return unreadable("a part that is no key=value");
        const auto key = rest.substr(0, equals);
        rest.remove_prefix(equals + 1);
        auto value = take_value(rest);
        if (!value) return value.error();
        if (same_word(key, "uri"))
            out.uris.push_back(std::move(*value));
        else if (same_word(key, "dns"))
            out.dns.push_back(std::move(*value));
        else if (same_word(key, "subject") && std::exchange(subject, true))
            return unreadable("two subjects");
        else if (same_word(key, "subject"))
            out.subject = std::move(*value);
        if (rest.empty()) break;
        if (rest.front() == ',') return unreadable("certificates of several proxies");
        if (rest.front() != ';') return unreadable("text behind a quote");
        rest.remove_prefix(1);
    }
    return out;
}

result<std::vector<std::string>> missions_of(const certificate_reference& how,
                                             std::string_view field) {
    using member = certificate_reference::member;
    if (field.size() > limits::certificate_bytes) return unreadable("too large");
    if (how.how == certificate_reference::form::xfcc) {
        auto parsed = parse_xfcc(field);
        if (!parsed) return parsed.error();
        return fitting(how, how.what == member::uri   ? parsed->uris
                            : how.what == member::dns ? parsed->dns
                                                      : common_names(parsed->subject));
    }
    const auto pem = net::percent_decode(field);
    if (!pem) return unreadable("not percent-encoded");
    const auto read = parse_pem(*pem);
    if (!read) return unreadable("no PEM certificate");
    return fitting(how, how.what == member::uri   ? alternative_names(read.get(), GEN_URI)
                        : how.what == member::dns ? alternative_names(read.get(), GEN_DNS)
                                                  : common_names(read.get()));
}

}  // namespace mission::receiver::sidecar
