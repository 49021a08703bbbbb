// A float of 4 bits: sign, and the magnitudes 0, 1/192, 2/12, 3/12, 4/12, 6/12, 8/12 and 1 in bitsandbytes' order of codes.
#include "core/quant/four_bit.h"

namespace ft::quant {

const FourBitCode& Fp4() {
  static const FourBitCode code = {
      "fp4",
      {0.0f, 0.0625f / 12, 8.0f / 12, 1.0f, 4.0f / 12, 6.0f / 12, 2.0f / 12, 3.0f / 12, -0.0f, -0.0625f / 12, -8.0f / 12, -1.0f, -4.0f / 12, -6.0f / 12,
       -2.0f / 12, -3.0f / 12},
      /*sign_bit=*/true,
      {0.00260417f, 0.0859375f, 0.20833333f, 0.29166667f, 0.4166667f, 0.583333f, 0.8333333f},
      {0, 1, 6, 7, 4, 5, 2, 3},
  };
  return code;
}

}  // namespace ft::quant
