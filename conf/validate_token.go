// SPDX-License-Identifier: Apache-2.0

package conf

import (
	"slices"
	"time"
)

// Bounds of what makes sense of an issued token: a shorter one ends while its
// user reads the answer, a longer one is a password that nobody changes.
const (
	shortestToken = time.Second
	longestSlide  = 31 * day
	longestJob    = 366 * day
	longestGrace  = 24 * time.Hour
)

// checkTokens refuses lives of tokens that contradict each other or never end.
func checkTokens(c *Conf) (faults Faults) {
	if !c.Authenticates() {
		return nil
	}
	life, slide, job, grace := TokenLifetime.Get(c), TokenSlideMax.Get(c), TokenJobLifetime.Get(c), TokenGrace.Get(c)
	if life < shortestToken {
		faults = append(faults, c.blame(TokenLifetime.Key, "tokens of %v would be over before they are used: %v is the least", life, shortestToken)...)
	}
	if life > slide {
		faults = append(faults, c.blame(TokenSlideMax.Key, "tokens are good for %v (%s), so they cannot end after %v: make it as long at least", life, TokenLifetime.Key, slide)...)
	}
	if slide > longestSlide {
		faults = append(faults, c.blame(TokenSlideMax.Key, "a token would be good for %v without anybody looking at its user again: %v is the most; jobs have tokens with a name", slide, longestSlide)...)
	}
	if job > longestJob {
		faults = append(faults, c.blame(TokenJobLifetime.Key, "a token of %v is a password that nobody changes: %v is the most", job, longestJob)...)
	}
	if grace < 0 || grace > longestGrace {
		faults = append(faults, c.blame(TokenGrace.Key, "the grace after the end of a token is from 0 to %v, not %v: it is for queries under way", longestGrace, grace)...)
	}
	return append(faults, checkLoginClient(c)...)
}

// checkLoginClient looks whether a token made for the client could come in.
func checkLoginClient(c *Conf) Faults {
	client := LoginClient.Get(c)
	switch {
	case client == "":
		return nil
	case !c.Uses(AuthJWT) || JWTIssuer.Get(c) == "":
		return c.blame(LoginClient.Key, "nobody could log in so: it needs the method JWT of %s and %s", Authentication.Key, JWTIssuer.Key)
	case !slices.Contains(JWTAudience.Get(c), client):
		return c.blame(LoginClient.Key, "tokens made for %q would be refused: add it to %s", client, JWTAudience.Key)
	}
	return nil
}
