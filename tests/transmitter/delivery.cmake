# Streams and delivery. Included by tests/transmitter/CMakeLists.txt.
mission_test(delivery_rules
  SOURCES
    delivery/backoff_test.cpp
    delivery/build_test.cpp
    delivery/classify_test.cpp
    delivery/cursor_test.cpp
    delivery/heartbeat_test.cpp
    delivery/hold_test.cpp
    delivery/matching_test.cpp
    delivery/outcome_test.cpp
    delivery/poll_select_test.cpp
    delivery/push_machine_test.cpp
    delivery/stream_config_test.cpp
    delivery/window_test.cpp
  LINK mission_transmitter)
mission_test(delivery_shell
  SOURCES
    delivery/shell_support.cpp
    delivery/shell_push_test.cpp
    delivery/shell_poll_test.cpp
    delivery/ssf_api_test.cpp
  LINK transmitter_fixture)
