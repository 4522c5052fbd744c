#include "verify_line.hpp"

namespace plimsoll::cli {

void add_verify_options(CommandLine& line, VerifyAsked& asked) {
  line.add_plan_options();
  line.add_context_options();
  CLI::App& app = line.app();
  app.add_flag("--run", asked.run, "execute the plan: load the model, run the worst case, compare what was taken")
      ->disable_flag_override()
      ->group("Execution");
  app.add_option("--inject", asked.inject, "make it go wrong, to see that it is found: oversize, leak or double")
      ->type_name("FAULT")
      ->allow_extra_args(false)
      ->group("Execution");
  app.add_option("--device-backend", asked.device_backend, "with --run, what computes: cpu, or cuda for GPUs; default cpu")
      ->type_name("NAME")
      ->allow_extra_args(false)
      ->group("Execution");
  app.add_option("--seed", asked.seed, "of the tokens that are computed; default 0")
      ->type_name("N")
      ->allow_extra_args(false)
      ->group("Execution");
}

} // namespace plimsoll::cli
