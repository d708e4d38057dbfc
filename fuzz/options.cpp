// Options of the C ABI: what hosts hand in.
#include <algorithm>
#include <memory>
#include <string>

#include "fuzz/targets.hpp"
#include "mission_signals/ms.h"

namespace mission::fuzz {

// key NUL value NUL ...; a key that begins with '+' is added to a list.
void c_options(std::string_view input) {
    const std::unique_ptr<ms_options, decltype(&ms_options_free)> options(ms_options_new(),
                                                                          &ms_options_free);
    while (!input.empty()) {
        std::string part[2];
        for (auto& p : part) {
            const auto end = std::min(input.find('\0'), input.size());
            p = input.substr(0, end);
            input.remove_prefix(std::min(end + 1, input.size()));
        }
        const bool add = part[0].starts_with('+');
        const auto code = add ? ms_options_add(options.get(), part[0].c_str() + 1, part[1].c_str())
                              : ms_options_set(options.get(), part[0].c_str(), part[1].c_str());
        hold_to(code == MS_OK || code == MS_E_ARGUMENT, "an option is taken, or is none");
        hold_to(code == MS_OK || *ms_error() != '\0', "and then it is said why");
    }
    ms_receiver* made = nullptr;
    const auto code = ms_receiver_new(options.get(), &made);
    hold_to(code == MS_OK || code == MS_E_SETUP, "options are good, or one of them is named");
    hold_to((code == MS_OK) == (made != nullptr), "a receiver, or none");
    if (made == nullptr) return;
    ms_answer answer = MS_ANSWER_INIT;
    hold_to(ms_check(made, "msn_8RfX2Lqv9TqMv4z7sA2bN1k0YpEdHc9-", &answer) == 0,
            "a receiver that is not started permits nothing");
    hold_to(ms_receiver_free(made) == MS_OK, "and goes");
}

}  // namespace mission::fuzz
