// What a peer says, made fit for a log.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace mission::receiver {

// One line of at most limits::peer_words_bytes: control characters and what is not ASCII escaped;
// `secrets` (which a peer may echo), as they are or form-encoded, and whatever looks like a JWS
// (a SET, an assertion, a proof) left out.
std::string peer_words(std::string_view text, const std::vector<std::string>& secrets = {});

}  // namespace mission::receiver
