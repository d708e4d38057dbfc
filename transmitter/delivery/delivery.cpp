#include "transmitter/delivery/delivery.hpp"

#include <atomic>

#include "transmitter/delivery/issuer_delivery.hpp"

namespace mission::transmitter {

namespace {

// Owns the shell on behalf of main; the shell itself outlives this until its callbacks have run.
class delivery_handle final : public delivery {
  public:
    explicit delivery_handle(issuer_service& issuer)
        : shell_(std::make_shared<issuer_delivery>(issuer)) {}
    ~delivery_handle() override { stop(); }

    result<void> start() override { return shell_->start(); }
    // Once: a second stop would wait for a runtime that has been stopped in between.
    void stop() override {
        if (!stopped_.exchange(true)) shell_->stop();
    }
    void committed(std::shared_ptr<const std::vector<store::signal>> batch) override {
        shell_->committed(std::move(batch));
    }
    void stream_added(store::stream s, std::vector<store::stream_epoch> epochs,
                      store::cursor c) override {
        shell_->stream_added(std::move(s), std::move(epochs), std::move(c));
    }
    void stream_removed(store::stream_row row) override { shell_->stream_removed(row); }
    void stream_changed(stream_change change) override {
        shell_->stream_changed(std::move(change));
    }
    void subjects_changed(store::stream_row row, std::vector<store::stream_subject> rows) override {
        shell_->subjects_changed(row, std::move(rows));
    }
    void touched(store::stream_row row) override { shell_->touched(row); }
    void replay(store::stream_row row, replay_request what,
                std::function<void(result<std::size_t>)> done) override {
        shell_->replay(row, std::move(what), std::move(done));
    }
    void verify(store::stream_row row, std::optional<std::string> state,
                std::function<void(result<void>)> done) override {
        shell_->verify(row, std::move(state), std::move(done));
    }
    void poll(store::stream_row row, poll_request request, net::responder respond) override {
        shell_->poll(row, std::move(request), std::move(respond));
    }
    std::optional<stream_ref> find_stream(std::string_view stream_id) const override {
        return shell_->find_stream(stream_id);
    }
    std::vector<stream_report> reports() const override { return shell_->reports(); }
    std::optional<stream_report> report_of(std::string_view stream_id) const override {
        return shell_->report_of(stream_id);
    }
    void acked_versions(const store::mission& m,
                        std::function<void(result<std::vector<acked_version>>)> done) override {
        shell_->acked_versions(m, std::move(done));
    }
    std::chrono::milliseconds healthy_lag() const override { return shell_->healthy_lag(); }
    delivery_counters counters() const override { return shell_->counters(); }

  private:
    std::shared_ptr<issuer_delivery> shell_;
    std::atomic<bool> stopped_{false};
};

}  // namespace

std::unique_ptr<delivery> make_delivery(issuer_service& issuer) {
    return std::make_unique<delivery_handle>(issuer);
}

}  // namespace mission::transmitter
