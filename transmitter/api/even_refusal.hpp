// What is not there and what may not be known are answered alike (404), and after the same time:
// the work behind the two differs by microseconds, which an observer of many answers could measure.
#pragma once

#include "net/http.hpp"
#include "net/runtime.hpp"

namespace mission::transmitter {

// Passes every answer on at once but a 404, which goes limits::refusal_time after this call, or at
// once when that is over. THREAD: the responder may be used from any thread.
net::responder even_refusal(net::runtime& runtime, net::responder to);

}  // namespace mission::transmitter
