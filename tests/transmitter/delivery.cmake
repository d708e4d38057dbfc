# Streams and delivery. Included by tests/transmitter/CMakeLists.txt.
mission_test(delivery_rules
  SOURCES
    delivery/audience_index_test.cpp
    delivery/backoff_test.cpp
    delivery/build_test.cpp
    delivery/classify_test.cpp
    delivery/cursor_test.cpp
    delivery/emitted_test.cpp
    delivery/heartbeat_test.cpp
    delivery/hold_test.cpp
    delivery/matching_test.cpp
    delivery/notices_test.cpp
    delivery/outcome_test.cpp
    delivery/poll_select_test.cpp
    delivery/position_ledger_test.cpp
    delivery/push_machine_test.cpp
    delivery/subject_index_test.cpp
    delivery/stream_config_test.cpp
    delivery/stream_status_test.cpp
    delivery/stream_subjects_test.cpp
    delivery/stream_update_test.cpp
    delivery/window_test.cpp
  LINK mission_transmitter)
mission_test(delivery_shell
  SOURCES
    delivery/shell_support.cpp
    delivery/shell_push_test.cpp
    delivery/shell_poll_test.cpp
    delivery/shell_matching_test.cpp
    delivery/shell_streams_test.cpp
    delivery/ssf_api_test.cpp
  LINK transmitter_fixture)
set_tests_properties(delivery_shell PROPERTIES COST 45)
