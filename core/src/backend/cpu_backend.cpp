#include "backend/cpu_backend.hpp"

#include <cblas.h>
#include <cstring>

#include "backend/cpu_ops.hpp"

namespace plimsoll {
namespace {

template <class Real>
class CpuOps final : public Ops<Real> {
public:
  void embed(const PassView& pass, const EmbedArgs<Real>& args) override { cpu::embed(pass, args); }
  void embed_position(const PassView& pass, const EmbedPositionArgs<Real>& args) override { cpu::embed_position(pass, args); }
  void pool(const PassView& pass, const PoolArgs<Real>& args) override { cpu::pool(pass, args); }
  void join(const PassView& pass, const JoinArgs<Real>& args) override { cpu::join(pass, args); }
  void norm(const NormArgs<Real>& args) override { cpu::norm(args); }
  void sum_squares(const RowsArgs<Real>& args) override { cpu::sum_squares(args); }
  void norm_of_sums(const NormArgs<Real>& args, const Rows<const Real>& sums) override { cpu::norm_of_sums(args, sums); }
  void linear(const LinearArgs<Real>& args) override { cpu::linear(args); }
  void rope(const PassView& pass, const RopeArgs<Real>& args) override { cpu::rope(pass, args); }
  void store(const PassView& pass, const StoreArgs<Real>& args) override { cpu::store(pass, args); }
  void attend(const PassView& pass, const AttendArgs<Real>& args) override { cpu::attend(pass, args); }
  void attend_whole(const AttendWholeArgs<Real>& args) override { cpu::attend_whole(args); }
  void attend_latent(const PassView& pass, const LatentArgs<Real>& args) override { cpu::attend_latent(pass, args); }
  void gate(const GateArgs<Real>& args) override { cpu::gate(args); }
  void route(const RouteArgs<Real>& args) override { cpu::route(args); }
  void experts(const ExpertsArgs<Real>& args) override { cpu::experts(args); }
  void last_rows(const PassView& pass, const RowsArgs<Real>& args) override { cpu::last_rows(pass, args); }
  void add(const RowsArgs<Real>& args) override { cpu::add(args); }
  void scale_rows(const ScaleRowsArgs<Real>& args) override { cpu::scale_rows(args); }
  void multiply_rows(const MultiplyArgs<Real>& args) override { cpu::multiply_rows(args); }
  void conv(const PassView& pass, const ConvArgs<Real>& args) override { cpu::conv(pass, args); }
  void ssm_scan(const PassView& pass, const ScanArgs<Real>& args) override { cpu::ssm_scan(pass, args); }
  void columns(const ColumnsArgs<Real>& args) override { cpu::columns(args); }
  void delta_rule(const PassView& pass, const DeltaArgs<Real>& args) override { cpu::delta_rule(pass, args); }
  void patches(const PatchesArgs<Real>& args) override { cpu::patches(args); }
  void rope_sections(const PassView& pass, const RopeSectionsArgs<Real>& args) override { cpu::rope_sections(pass, args); }
  void merge_rows(const RowsArgs<Real>& args) override { cpu::merge_rows(args); }
  void image_rows(const PassView& pass, const ImageRowsArgs<Real>& args) override { cpu::image_rows(pass, args); }
  void store_rows(const Rows<const Real>& x, void* data, ElementType type, std::uint64_t first) override {
    cpu::store_rows(x, data, type, first);
  }
};

class CpuBackend final : public Backend {
public:
  Result<void*> take(std::uint64_t bytes, bool guarded) override { return memory_->take(bytes, guarded); }
  void give_back(void* memory, std::uint64_t bytes, bool guarded) noexcept override { memory_->give_back(memory, bytes, guarded); }

  std::string_view name() const override { return "cpu"; }
  void copy_in(void* device, const void* host, std::uint64_t bytes) override { copy(device, host, bytes); }
  void copy_out(void* host, const void* device, std::uint64_t bytes) override { copy(host, device, bytes); }
  void copy(void* to, const void* from, std::uint64_t bytes) override {
    if (bytes > 0) std::memcpy(to, from, bytes);
  }
  void zero(void* device, std::uint64_t bytes) override {
    if (bytes > 0) std::memset(device, 0, bytes);
  }
  Result<void> synchronize() override { return {}; }

  Ops<float>& ops(float) override { return float_ops_; }
  Ops<double>& ops(double) override { return double_ops_; }

private:
  std::shared_ptr<MemorySource> memory_ = host_memory();
  CpuOps<float> float_ops_;
  CpuOps<double> double_ops_;
};

} // namespace

std::shared_ptr<Backend> cpu_backend(const CpuOptions& options) {
  openblas_set_num_threads(static_cast<int>(options.threads == 0 ? 1 : options.threads));
  return std::make_shared<CpuBackend>();
}

} // namespace plimsoll
