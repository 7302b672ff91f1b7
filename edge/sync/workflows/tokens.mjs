// Tokens of the internal routes, secret WEIR_INTERNAL_TOKEN: comma separated, so that one is changed without a gap.

/** Those that are valid; the first one is what this Worker shows. */
export const tokensOf = ({ WEIR_INTERNAL_TOKEN = "" }) => WEIR_INTERNAL_TOKEN.split(",").map((token) => token.trim()).filter(Boolean);
